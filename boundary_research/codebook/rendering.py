"""The codebook as HTML (for notebooks and paper) and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment
from markupsafe import Markup

if TYPE_CHECKING:
    from boundary_research.codebook.model import Codebook

_BODY = """\
<div class="codebook">
<h1>{{ book.name }}</h1>
<p>Codebook <code>{{ book.id }}</code>, version {{ book.version }}, {{ book.categories|length }}
categories in {{ book.families|length }} families. Content hash <code>{{ book.content_hash[:12] }}</code>.</p>
{% if book.unit %}<p><strong>Unit:</strong> {{ book.unit }}</p>{% endif %}
{% if book.rules %}<h2>Rules</h2><ol>{% for rule in book.rules %}<li>{{ rule }}</li>{% endfor %}</ol>{% endif %}
{% if book.severity_levels %}<h2>Severity, coded for each category</h2><dl>
{% for level, text in book.severity_levels %}<dt>{{ level }}</dt><dd>{{ text }}</dd>{% endfor %}</dl>{% endif %}
{% if book.reserved %}<h2>Reserved values</h2><dl>{% for key, text in book.reserved %}<dt>{{ key }}</dt><dd>{{ text }}</dd>{% endfor %}</dl>{% endif %}
{% for title, categories in groups %}
{% if title %}<h2>{{ title }}</h2>{% endif %}
{% for c in categories %}
<section id="category-{{ c.id }}"{% if page %} class="category"{% endif %}>
{% if not page %}<details><summary><strong>{{ c.label }}</strong> <code>{{ c.id }}</code></summary>{% else %}<h3>{{ c.label }} <code>{{ c.id }}</code></h3>{% endif %}
<p>{{ c.definition }}</p>
{% if c.include %}<p><strong>Include</strong></p><ul>{% for x in c.include %}<li>{{ x }}</li>{% endfor %}</ul>{% endif %}
{% if c.exclude %}<p><strong>Exclude</strong></p><ul>{% for x in c.exclude %}<li>{{ x.text }}{% if x.see %} <em>See <code>{{ x.see }}</code>.</em>{% endif %}</li>{% endfor %}</ul>{% endif %}
{% if c.neighbour_rule %}<p><strong>Neighbour rule:</strong> {{ c.neighbour_rule }}</p>{% endif %}
{% if c.indicators %}<p><strong>Examples:</strong> {% for x in c.indicators %}“{{ x }}”{{ "; " if not loop.last }}{% endfor %}</p>{% endif %}
{% if c.severity %}<p><strong>Severity:</strong> {% for level, x in c.severity %}{{ level }}: {{ x }} {% endfor %}{% if c.always_severe %}Always 2: {{ c.always_severe|join(" ") }}{% endif %}</p>{% endif %}
{% if not page %}</details>{% endif %}
</section>
{% endfor %}{% endfor %}
{% if page and book.confusable_pairs %}<h2>Pairs that get confused</h2><ul>
{% for pair in book.confusable_pairs %}<li><code>{{ pair.categories[0] }}</code> / <code>{{ pair.categories[1] }}</code>: {{ pair.question }}</li>{% endfor %}</ul>{% endif %}
{% if page and book.attributes %}<h2>Attributes</h2><table><thead><tr><th>Attribute</th><th>Levels</th><th>Note</th></tr></thead><tbody>
{% for a in book.attributes %}<tr><td>{{ a.label }}<br><code>{{ a.id }}</code></td><td>{{ a.levels|join("; ") }}</td><td>{{ a.note }}</td></tr>{% endfor %}</tbody></table>{% endif %}
{% if page and book.references %}<h2>References</h2><ul>{% for key, text in book.references %}<li>{{ text }}</li>{% endfor %}</ul>{% endif %}
</div>"""

_PAGE = """\
<!doctype html><html lang="{{ book.language }}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ book.name }} {{ book.version }}</title><style>
body{font:11pt/1.45 Georgia,serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
h1,h2,h3{font-family:system-ui,sans-serif;line-height:1.2}h2{border-bottom:1px solid #999;margin-top:2rem}
code{font-size:.85em;background:#f0f0f0;padding:0 .2em}.category{break-inside:avoid;margin-bottom:1.5rem}
table{border-collapse:collapse;font-size:.9em}td,th{border:1px solid #bbb;padding:.3rem .5rem;text-align:left;vertical-align:top}
dt{font-weight:bold;float:left;clear:left;margin-right:.6rem}dd{margin-left:5rem;margin-bottom:.3rem}
@media print{body{margin:0;max-width:none;font-size:10pt}h2{break-after:avoid}}
</style></head><body>{{ body }}</body></html>"""


def render_html(codebook: Codebook, *, page: bool = False) -> str:
    """Return the codebook as HTML, every text escaped.

    Parameters
    ----------
    codebook : Codebook
    page : bool
        True for a whole document that prints well, False for a fragment with folded categories.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    groups = [(f.label, codebook.in_family(f.id)) for f in codebook.families]
    if not groups:
        groups = [("", list(codebook.categories))]
    body = environment.from_string(_BODY).render(book=codebook, groups=groups, page=page)
    if not page:
        return body
    page_environment = Environment(autoescape=True)
    return page_environment.from_string(_PAGE).render(book=codebook, body=Markup(body))


def render_markdown(codebook: Codebook) -> str:
    """Return the codebook as Markdown text, for coders who work without a browser."""
    lines = [f"# {codebook.name}, version {codebook.version}", "", codebook.unit, "", "## Rules"]
    lines += [f"{i}. {rule}" for i, rule in enumerate(codebook.rules, 1)]
    lines += ["", "## Severity"] + [f"- {level}: {text}" for level, text in codebook.severity_levels]
    lines += ["", "## Reserved values"] + [f"- {key}: {text}" for key, text in codebook.reserved]
    for category in codebook.categories:
        lines += ["", f"## {category.id}: {category.label}", category.definition, "", "Include:"]
        lines += [f"- {text}" for text in category.include]
        lines += ["", "Exclude:"]
        lines += [f"- {e.text}" + (f" See {e.see}." if e.see else "") for e in category.exclude]
        lines += ["", f"Neighbour rule: {category.neighbour_rule}"]
        if category.indicators:
            lines += ["Examples: " + "; ".join(f'"{text}"' for text in category.indicators)]
        lines += ["Severity: " + " ".join(f"{level}: {text}" for level, text in category.severity)]
        if category.always_severe:
            lines += ["Always severity 2: " + " ".join(category.always_severe)]
    if codebook.confusable_pairs:
        lines += ["", "## Pairs that get confused"]
        lines += [f"- {' / '.join(p.categories)}: {p.question}" for p in codebook.confusable_pairs]
    return "\n".join(lines) + "\n"
