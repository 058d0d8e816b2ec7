"""Small simulated tables for the tests of prevalence and risk factors."""

import numpy as np
import pandas as pd

CATEGORIES = ["first", "second", "third"]


def make_tables(seed=0, n=1_500, agencies=30, fraction=0.25, not_stated=0.0, rate=0.3, error=0.15):
    """Return incidents, coded and gold; the second category has no association with anything."""
    generator = np.random.default_rng(seed)
    agency = generator.integers(0, agencies, n)
    rural = generator.random(n) < np.where(agency % 3 == 0, 0.7, 0.2)
    setting = np.where(rural, "rural", np.where(generator.random(n) < 0.4, "town", "urban"))
    role = generator.choice(["nurse", "police", "social_worker"], n)
    age = generator.normal(40, 10, n)
    ids = np.array([f"incident{i:05d}" for i in range(n)])
    pi = np.where(rural, min(1.0, 2 * fraction), fraction)
    drawn = generator.random(n) < pi
    coded, gold, truth = [], [], {}
    base = np.log(rate / (1 - rate))
    for name, slope in zip(CATEGORIES, (0.8, 0.0, -0.5), strict=True):
        eta = base + slope * rural + 0.02 * (age - 40) * (name == "first")
        present = generator.random(n) < 1 / (1 + np.exp(-eta))
        flip = generator.random(n) < np.where(rural, 1.5 * error, error)
        predicted = present ^ flip
        truth[name] = present
        coded.append(
            pd.DataFrame(
                {
                    "incident_id": ids,
                    "category": name,
                    "probability": np.where(predicted, 0.8, 0.1),
                    "decision": np.where(predicted, "present", "absent"),
                }
            )
        )
        gold.append(
            pd.DataFrame(
                {
                    "incident_id": ids[drawn],
                    "category": name,
                    "present": present[drawn],
                    "inclusion_probability": pi[drawn],
                }
            )
        )
    shown = np.where(generator.random(n) < not_stated, "not_stated", setting)
    incidents = pd.DataFrame(
        {
            "incident_id": ids,
            "narrative": "fictional",
            "agency_id": [f"agency{a}" for a in agency],
            "setting": shown,
            "role": role,
            "age": age,
        }
    )
    return incidents, pd.concat(coded, ignore_index=True), pd.concat(gold, ignore_index=True), truth
