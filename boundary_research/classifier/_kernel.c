/* The fused coding path: from UTF-8 text to linear scores in one pass, without the GIL.

   Tokens, n-grams and lower case are those of text.py. What counts as a letter, a blank or a
   lower-case form comes in tables that the wrapper takes from Python itself, so no locale and no
   Unicode version of the C library plays a part. Look-ups are exact: a key is either the n-gram's
   own bytes or a hash whose hit is compared byte by byte. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if !defined(__GNUC__)
#error "the kernel needs GCC or Clang; without it the scikit-learn path is used"
#endif
#if defined(__SSE2__) && !defined(KERNEL_SCALAR)
#include <emmintrin.h>
#define USE_SSE2 1
#endif
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(KERNEL_SCALAR)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif
#define INLINE static inline __attribute__((always_inline))

enum { IS_WORD = 1, IS_SPACE = 2, IS_CASED = 4, IS_IGNORABLE = 8 };
enum { SLACK = 64, MOST_LOGS = 256, PACKED = 7, SHORT_WORD = 15 };
/* With at most LONGEST_NGRAM sizes of n-gram, a count in 32 bits cannot overflow. */
#define LONGEST_TEXT (1ll << 28)
enum { LONGEST_NGRAM = 12 };
#define N_CODE_POINTS 0x110000u
#define NONE 0xFFFFFFFFu
#define CAPITAL_SIGMA 0x3A3u
#define FINAL_SIGMA 0x3C2u
#define LONG_KEY (0xFFull << 56)

/* A perfect hash (hash and displace): a key has one slot, in which it is or is not. A bucket's
   displacement moves its keys to slots of their own; it is found when the model is built. */
typedef struct { uint16_t *displacements; uint32_t mask; int shift; } Places;

typedef struct { uint64_t low, high; } WordKey;

enum { FLAGS, LOWER, EXPANSIONS, WORD_POOL, WORD_ENDS, WORD_FEATURES, EDGE_KEYS, EDGE_NODES,
       EDGE_FEATURES, GRAM_POOL, GRAM_ENDS, GRAM_FEATURES, ROWS, HEAD, N_BUFFERS };

typedef struct {
    Py_buffer buffers[N_BUFFERS];
    const uint8_t *flags;       /* by code point */
    const int32_t *lower;       /* by code point: the lower-case form, or -1 - place in expansions */
    const uint32_t *expansions; /* length, then that many code points */
    const uint8_t *word_pool, *gram_pool;
    const int64_t *word_ends, *gram_ends;
    const double *rows; /* (n_features + 1, stride): weight * idf by category, then idf squared */
    const double *intercept, *slope, *offset; /* by category */
    double once[16]; /* see add_rows */
    Places word_places, edge_places, gram_places;
    /* Each table has one slot more than there are places: what a miss returns. */
    WordKey *words;
    uint32_t *word_entries; /* by slot, for words too long for their key */
    uint64_t *edges;
    uint32_t *edge_nodes; /* of a run of several words; the node of one word is its slot */
    uint64_t *grams;
    uint32_t *gram_entries;
    /* What is counted is a slot: those of words, of edges, of grams, each with one for misses. */
    uint32_t first_edge, first_gram, n_slots;
    uint32_t *features; /* by slot */
    uint64_t low_masks[SHORT_WORD + 1], high_masks[SHORT_WORD + 1];
    uint32_t n_features; /* the row after the last is zero: where what is not a feature goes */
    int n_categories, stride, longest_run, shortest_gram, longest_gram, bytes_growth, points_growth;
    double gram_weight;
    double logs[MOST_LOGS];
} Model;

typedef struct { uint32_t slot, start; } Occurrence;

typedef struct {
    uint8_t *low; /* the narrative in lower case, blanks as ' ', after one leading ' ' */
    uint64_t *word_bits, *solid_bits, *wide_bits;
    uint32_t *marks; /* starts and ends of runs, alternating */
    size_t room;     /* bytes of narrative that these and the words have room for */
    uint32_t *points, *places; /* code points of a chunk; byte offsets of its lower-case ones */
    uint32_t *sources;         /* byte offset in the narrative of each code point */
    uint8_t *lowered;
    size_t chunk_room;
    uint32_t *counts, *touched[2]; /* by slot; the slots that are not zero */
    uint32_t *used;                /* their features */
    size_t n_touched[2];
    double *values, *sums;
    uint32_t *words, *word_starts; /* slot and place of each word of the narrative */
    uint32_t *runs;                /* nodes of the runs of words, by their last word */
    uint32_t *found;               /* slots of those of them that are known */
    size_t n_words;
    Occurrence *occurrences;
    size_t n_occurrences, occurrence_room;
    int failed; /* out of memory */
} Scratch;

/* ---- keys and look-ups ---- */

INLINE uint64_t load8(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

INLINE uint64_t keep_bytes(uint64_t x, unsigned n) { /* the first n of 8, n from 0 to 8 */
    return n >= 8 ? x : x & ((1ull << (8 * n)) - 1);
}

INLINE uint64_t scatter(uint64_t x) {
    x ^= x >> 32;
    x *= 0x9E3779B97F4A7C15ull;
    return x;
}

static uint64_t hash_bytes(const uint8_t *p, size_t n) {
    uint64_t h = 0x243F6A8885A308D3ull ^ n;
    for (; n >= 8; p += 8, n -= 8) h = scatter(h ^ load8(p)) + 0x13198A2E03707344ull;
    uint64_t rest = 0;
    for (size_t i = 0; i < n; i++) rest |= (uint64_t)p[i] << (8 * i);
    h = scatter(h ^ rest);
    return h ^ (h >> 29);
}

/* Both halves of a product: every bit of the factors reaches every part of it. */
INLINE uint64_t fold(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__) && !defined(KERNEL_SCALAR)
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    return scatter(scatter(a) + b * 0xD6E8FEB86659FD93ull);
#endif
}

INLINE uint64_t mix(uint64_t key) {
    return fold(key ^ 0xA0761D6478BD642Full, 0xE7037ED1A0B428DBull);
}

INLINE uint32_t place_at(uint64_t h, uint32_t displacement, uint32_t mask) {
    return ((uint32_t)h + displacement * ((uint32_t)(h >> 21) | 1)) & mask;
}

INLINE uint32_t find_place(const Places *places, uint64_t h) {
    return place_at(h, places->displacements[h >> places->shift], places->mask);
}

/* All keys read up to 16 bytes from p, whatever n. */
INLINE void word_key(const Model *m, const uint8_t *p, size_t n, uint64_t *low, uint64_t *high) {
    if (__builtin_expect(n <= SHORT_WORD, 1)) {
        *low = load8(p) & m->low_masks[n];
        *high = (load8(p + 8) & m->high_masks[n]) | (uint64_t)n << 56;
    } else {
        *low = hash_bytes(p, n);
        *high = LONG_KEY | n;
    }
}

INLINE uint64_t word_hash(uint64_t low, uint64_t high) {
    return fold(low ^ 0xA0761D6478BD642Full, high ^ 0xE7037ED1A0B428DBull);
}

INLINE uint64_t gram_key(const uint8_t *p, size_t n) {
    if (n <= PACKED) return keep_bytes(load8(p), (unsigned)n) | (uint64_t)n << 56;
    return LONG_KEY | hash_bytes(p, n) >> 8;
}

static int same_bytes(const uint8_t *pool, const int64_t *ends, uint32_t i, const uint8_t *p,
                      size_t n) {
    int64_t start = i ? ends[i - 1] : 0;
    return (size_t)(ends[i] - start) == n && memcmp(pool + start, p, n) == 0;
}

/* Whether a term is known is a coin toss that no branch predictor wins; so no branch. */
INLINE uint32_t choose(uint32_t hit, uint32_t yes, uint32_t no) {
    uint32_t mask = 0u - hit;
    __asm__("" : "+r"(mask)); /* or the compiler makes it a branch again */
    return no ^ ((yes ^ no) & mask);
}

/* Each returns the slot, or the last one of its table for a miss. */
INLINE uint32_t find_word(const Model *m, const uint8_t *p, size_t n) {
    uint64_t low, high;
    word_key(m, p, n, &low, &high);
    uint32_t i = find_place(&m->word_places, word_hash(low, high));
    const WordKey *key = m->words + i;
    uint32_t hit = (key->low == low) & (key->high == high);
    if (__builtin_expect(n > SHORT_WORD, 0))
        hit = hit && same_bytes(m->word_pool, m->word_ends, m->word_entries[i], p, n);
    return choose(hit, i, m->word_places.mask + 1);
}

INLINE uint32_t find_edge(const Places *places, const uint64_t *edges, uint32_t node,
                          uint32_t word) {
    uint64_t key = (uint64_t)node << 32 | word;
    uint32_t i = find_place(places, mix(key));
    return choose(edges[i] == key, i, places->mask + 1);
}

INLINE uint32_t find_gram(const Model *m, uint64_t key) {
    uint32_t i = find_place(&m->gram_places, mix(key));
    /* Most n-grams of characters are known, so here a branch is the cheaper way. */
    return __builtin_expect(m->grams[i] == key, 1) ? m->first_gram + i : m->n_slots;
}

static uint32_t find_long_gram(const Model *m, const uint8_t *p, size_t n) {
    uint32_t slot = find_gram(m, gram_key(p, n));
    if (slot == m->n_slots || n <= PACKED) return slot;
    uint32_t entry = m->gram_entries[slot - m->first_gram];
    return same_bytes(m->gram_pool, m->gram_ends, entry, p, n) ? slot : m->n_slots;
}

/* ---- room ---- */

static int grow(void *pointer, size_t bytes) {
    void *larger = realloc(*(void **)pointer, bytes);
    if (!larger) return -1;
    *(void **)pointer = larger;
    return 0;
}

static int make_room(Scratch *s, size_t n) {
    if (s->low && n <= s->room) return 0;
    size_t room = n + n / 2 + 256, blocks = room / 64 + 2;
    if (grow(&s->low, blocks * 64 + 2 * SLACK) || grow(&s->word_bits, blocks * 8) ||
        grow(&s->solid_bits, blocks * 8) || grow(&s->wide_bits, blocks * 8) ||
        grow(&s->marks, (room + 70) * sizeof(uint32_t)) ||
        grow(&s->words, (room / 2 + 2) * sizeof(uint32_t)) ||
        grow(&s->word_starts, (room / 2 + 2) * sizeof(uint32_t)) ||
        grow(&s->runs, (room / 2 + 2) * sizeof(uint32_t)) ||
        grow(&s->found, (room / 2 + 2) * sizeof(uint32_t)))
        return -1;
    s->room = room;
    return 0;
}

static int make_chunk_room(Scratch *s, const Model *m, size_t n) {
    if (s->points && n <= s->chunk_room) return 0;
    size_t room = n + n / 2 + 64;
    if (grow(&s->points, room * sizeof(uint32_t)) || grow(&s->sources, room * sizeof(uint32_t)) ||
        grow(&s->places, (room * (size_t)m->points_growth + 4) * sizeof(uint32_t)) ||
        grow(&s->lowered, room * (size_t)m->bytes_growth + 2 + SLACK))
        return -1;
    s->chunk_room = room;
    return 0;
}

static void free_scratch(Scratch *s) {
    free(s->low); free(s->word_bits); free(s->solid_bits); free(s->wide_bits); free(s->marks);
    free(s->points); free(s->sources); free(s->places); free(s->lowered); free(s->counts);
    free(s->touched[0]); free(s->touched[1]); free(s->values); free(s->sums);
    free(s->words); free(s->word_starts); free(s->runs); free(s->found);
    free(s->occurrences); free(s->used);
}

static int make_scratch(Scratch *s, const Model *m) {
    memset(s, 0, sizeof *s);
    size_t n = (size_t)m->n_slots + 1;
    s->counts = calloc(n, sizeof(uint32_t));
    /* One more: counting writes the next place before it knows whether the slot is new. */
    s->touched[0] = malloc((n + 1) * sizeof(uint32_t));
    s->touched[1] = malloc((n + 1) * sizeof(uint32_t));
    s->used = malloc(n * sizeof(uint32_t));
    s->values = malloc(n * sizeof(double));
    s->sums = malloc((size_t)m->stride * sizeof(double));
    return !s->counts || !s->used || !s->touched[0] || !s->touched[1] || !s->values || !s->sums;
}

/* ---- counting ---- */

static void remember(Scratch *s, uint32_t slot, uint32_t start) {
    if (s->n_occurrences == s->occurrence_room) {
        size_t room = 2 * s->occurrence_room + 1024;
        if (grow(&s->occurrences, room * sizeof(Occurrence))) {
            s->failed = 1;
            return;
        }
        s->occurrence_room = room;
    }
    s->occurrences[s->n_occurrences++] = (Occurrence){slot, start};
}

INLINE void count(Scratch *s, int block, uint32_t slot, uint32_t start, int located) {
    s->touched[block][s->n_touched[block]] = slot;
    s->n_touched[block] += s->counts[slot]++ == 0;
    if (located) remember(s, slot, start);
}

INLINE void add_word(const Model *m, Scratch *s, const uint8_t *p, size_t n, uint32_t start) {
    s->words[s->n_words] = find_word(m, p, n);
    s->word_starts[s->n_words++] = start;
}

INLINE void count_found(Scratch *s, const uint32_t *slots, size_t n) {
    uint32_t *counts = s->counts, *touched = s->touched[0];
    size_t n_touched = s->n_touched[0];
    for (size_t i = 0; i < n; i++) {
        touched[n_touched] = slots[i];
        n_touched += counts[slots[i]]++ == 0;
    }
    s->n_touched[0] = n_touched;
}

/* Each pass turns the runs of `size - 1` words into those of `size`. Look-ups stand alone in
   their loop, so that the processor has many of them under way at a time. */
INLINE void count_runs(const Model *m, Scratch *s, int located) {
    const Places places = m->edge_places;
    const uint64_t *edges = m->edges;
    const uint32_t *words = s->words, *shorter = words;
    uint32_t *found = s->found;
    for (size_t size = 2; size <= (size_t)m->longest_run; size++) {
        size_t n = 0;
        int last = size == (size_t)m->longest_run;
        for (size_t i = s->n_words; i-- >= size;) { /* backwards, as `runs` is read and written */
            uint32_t edge = find_edge(&places, edges, shorter[i - 1], words[i]);
            found[n] = m->first_edge + edge;
            n += edge <= places.mask;
            if (located) remember(s, m->first_edge + edge, s->word_starts[i + 1 - size]);
            if (!last) s->runs[i] = m->edge_nodes[edge];
        }
        count_found(s, found, n);
        shorter = s->runs;
    }
}

INLINE void count_words(const Model *m, Scratch *s, int located) {
    count_found(s, s->words, s->n_words);
    for (size_t i = 0; located && i < s->n_words; i++)
        remember(s, s->words[i], s->word_starts[i]);
    count_runs(m, s, located);
    s->n_words = 0;
}

/* The n-grams of g bytes in a padded chunk of ASCII. */
INLINE void count_grams(const Model *m, Scratch *s, const uint8_t *padded, size_t length, size_t g,
                        uint32_t start, int located) {
    if (g > PACKED) {
        for (size_t j = 0; j + g <= length; j++)
            count(s, 1, find_long_gram(m, padded + j, g), start, located);
        return;
    }
    uint64_t mask = (1ull << (8 * g)) - 1, tag = (uint64_t)g << 56;
    uint32_t *counts = s->counts, *touched = s->touched[1];
    size_t n = s->n_touched[1];
    for (size_t j = 0; j + g <= length; j++) {
        uint32_t slot = find_gram(m, (load8(padded + j) & mask) | tag);
        touched[n] = slot;
        n += counts[slot]++ == 0;
        if (located) remember(s, slot, start);
    }
    s->n_touched[1] = n;
}

/* ---- ASCII ---- */

/* One block of 64 bytes: lower case with blanks as ' ', and a bit a byte for each class. */
INLINE void scan_block(const uint8_t *from, uint8_t *to, uint64_t *word, uint64_t *solid,
                       uint64_t *wide) {
    *word = *solid = *wide = 0;
#ifdef USE_SSE2
#define ABOVE(x, c) _mm_cmpgt_epi8(x, _mm_set1_epi8(c))
#define BELOW(x, c) _mm_cmplt_epi8(x, _mm_set1_epi8(c))
#define EQUAL(x, c) _mm_cmpeq_epi8(x, _mm_set1_epi8(c))
    for (int i = 0; i < 4; i++) {
        __m128i c = _mm_loadu_si128((const __m128i *)(from + 16 * i));
        __m128i capital = _mm_and_si128(ABOVE(c, 'A' - 1), BELOW(c, 'Z' + 1));
        __m128i low = _mm_or_si128(c, _mm_and_si128(capital, _mm_set1_epi8(0x20)));
        __m128i letter = _mm_and_si128(ABOVE(low, 'a' - 1), BELOW(low, 'z' + 1));
        __m128i digit = _mm_and_si128(ABOVE(c, '0' - 1), BELOW(c, '9' + 1));
        __m128i blank = _mm_or_si128(
            EQUAL(c, ' '), _mm_or_si128(_mm_and_si128(ABOVE(c, 8), BELOW(c, 14)),
                                        _mm_and_si128(ABOVE(c, 27), BELOW(c, 32))));
        low = _mm_or_si128(_mm_andnot_si128(blank, low),
                           _mm_and_si128(blank, _mm_set1_epi8(' ')));
        _mm_storeu_si128((__m128i *)(to + 16 * i), low);
        __m128i of_word = _mm_or_si128(letter, _mm_or_si128(digit, EQUAL(c, '_')));
        *word |= (uint64_t)(uint16_t)_mm_movemask_epi8(of_word) << (16 * i);
        *solid |= (uint64_t)(uint16_t)~_mm_movemask_epi8(blank) << (16 * i);
        *wide |= (uint64_t)(uint16_t)_mm_movemask_epi8(c) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++) {
        uint8_t c = from[i];
        int capital = c >= 'A' && c <= 'Z';
        int blank = c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
        uint8_t low = blank ? ' ' : (uint8_t)(capital ? c + 32 : c);
        int of_word = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '_';
        to[i] = low;
        *word |= (uint64_t)of_word << i;
        *solid |= (uint64_t)!blank << i;
        *wide |= (uint64_t)(c >> 7) << i;
    }
#endif
}

/* Returns whether a byte is not ASCII. */
static int scan(Scratch *s, const uint8_t *text, size_t n) {
    uint64_t any = 0;
    uint8_t last[64];
    s->low[0] = ' ';
    for (size_t b = 0; b <= n / 64; b++) {
        const uint8_t *from = text + 64 * b;
        if (64 * b + 64 > n) {
            memset(last, ' ', 64);
            memcpy(last, from, n - 64 * b);
            from = last;
        }
        scan_block(from, s->low + 1 + 64 * b, s->word_bits + b, s->solid_bits + b,
                   s->wide_bits + b);
        any |= s->wide_bits[b];
    }
    memset(s->low + 1 + 64 * (n / 64 + 1), ' ', SLACK);
    return any != 0;
}

/* Starts and ends of the runs of set bits in [from, to). */
INLINE size_t find_runs(const uint64_t *bits, size_t from, size_t to, uint32_t *marks) {
    size_t n = 0;
    uint64_t carry = 0;
    if (from >= to) return 0;
    for (size_t b = from / 64; b <= (to - 1) / 64; b++) {
        uint64_t x = bits[b];
        if (b == from / 64) x &= ~0ull << (from % 64);
        if (b == (to - 1) / 64 && to % 64) x &= (1ull << (to % 64)) - 1;
        uint64_t turns = x ^ (x << 1 | carry);
        for (carry = x >> 63; turns; turns &= turns - 1)
            marks[n++] = (uint32_t)(64 * b + (size_t)__builtin_ctzll(turns));
    }
    if (carry && to % 64 == 0) marks[n++] = (uint32_t)to;
    return n;
}

INLINE void code_ascii(const Model *m, Scratch *s, size_t from, size_t to, int located) {
    const uint8_t *low = s->low + 1;
    if (m->longest_run) {
        size_t n = find_runs(s->word_bits, from, to, s->marks);
        for (size_t i = 0; i < n; i += 2)
            add_word(m, s, low + s->marks[i], s->marks[i + 1] - s->marks[i], s->marks[i]);
    }
    if (!m->longest_gram) return;
    size_t n = find_runs(s->solid_bits, from, to, s->marks);
    for (size_t i = 0; i < n; i += 2) {
        const uint8_t *padded = low + s->marks[i] - 1; /* the blank before, or the leading one */
        size_t length = s->marks[i + 1] - s->marks[i] + 2;
        for (size_t g = (size_t)m->shortest_gram; g <= (size_t)m->longest_gram; g++) {
            if (length <= g) {
                count(s, 1, find_long_gram(m, padded, length), s->marks[i], located);
                break;
            }
            count_grams(m, s, padded, length, g, s->marks[i], located);
        }
    }
}

/* ---- beyond ASCII ---- */

/* A byte that is no UTF-8 counts as U+FFFD, so that nothing can be read beyond the end. */
static size_t decode(const uint8_t *p, size_t left, uint32_t *point) {
    uint32_t c = p[0];
    size_t n = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
    if (n == 1) {
        *point = c;
        return 1;
    }
    *point = 0xFFFD;
    if (n == 0 || n > left) return 1;
    c &= 0x7Fu >> n;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) return 1;
        c = c << 6 | (p[i] & 0x3F);
    }
    if (c >= N_CODE_POINTS) return 1;
    *point = c;
    return n;
}

static size_t encode(uint32_t c, uint8_t *to) {
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) to[i] = (uint8_t)(0x80 | (c & 0x3F));
    to[0] = (uint8_t)((0xF00u >> n) | c);
    return n;
}

/* Unicode 3.13, Final_Sigma: a cased letter before it and none after it, ignorable ones aside. */
static int is_final_sigma(const Model *m, const uint32_t *points, size_t n, size_t i) {
    size_t j = i;
    while (j > 0 && m->flags[points[j - 1]] & IS_IGNORABLE) j--;
    if (j == 0 || !(m->flags[points[j - 1]] & IS_CASED)) return 0;
    for (j = i + 1; j < n && m->flags[points[j]] & IS_IGNORABLE;) j++;
    return j == n || !(m->flags[points[j]] & IS_CASED);
}

/* Writes the lower case of a token; places[i] is where code point i of it begins. */
static size_t lower_token(const Model *m, const uint32_t *points, size_t n, uint8_t *to,
                          uint32_t *places, size_t *n_places) {
    size_t bytes = 0, k = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t low = m->lower[points[i]];
        if (points[i] == CAPITAL_SIGMA && is_final_sigma(m, points, n, i)) low = FINAL_SIGMA;
        const uint32_t single = (uint32_t)low, *forms = &single;
        size_t n_forms = 1;
        if (low < 0) {
            forms = m->expansions - low;
            n_forms = forms[-1];
        }
        for (size_t f = 0; f < n_forms; f++) {
            places[k++] = (uint32_t)bytes;
            bytes += encode(forms[f], to + bytes);
        }
    }
    *n_places = k;
    return bytes;
}

static void code_chunk(const Model *m, Scratch *s, size_t from, size_t to, int located) {
    size_t n_places;
    uint8_t *low = s->lowered;
    for (size_t i = from; m->longest_run && i < to;) {
        size_t j = i;
        while (j < to && m->flags[s->points[j]] & IS_WORD) j++;
        if (j > i) {
            size_t n = lower_token(m, s->points + i, j - i, low, s->places, &n_places);
            memset(low + n, 0, 16);
            add_word(m, s, low, n, s->sources[i]);
        }
        i = j + 1;
    }
    if (!m->longest_gram) return;
    uint32_t *places = s->places;
    size_t n = lower_token(m, s->points + from, to - from, low + 1, places + 1, &n_places);
    low[0] = low[n + 1] = ' ';
    memset(low + n + 2, 0, 16);
    for (size_t i = 1; i <= n_places; i++) places[i]++;
    places[0] = 0;
    places[n_places + 1] = (uint32_t)n + 1;
    places[n_places + 2] = (uint32_t)n + 2;
    size_t length = n_places + 2;
    for (size_t g = (size_t)m->shortest_gram; g <= (size_t)m->longest_gram; g++) {
        if (length <= g) {
            count(s, 1, find_long_gram(m, low, n + 2), s->sources[from], located);
            break;
        }
        for (size_t j = 0; j + g <= length; j++)
            count(s, 1, find_long_gram(m, low + places[j], places[j + g] - places[j]),
                  s->sources[from], located);
    }
}

static void code_wide(const Model *m, Scratch *s, const uint8_t *text, size_t from, size_t to,
                      int located) {
    size_t n = 0;
    if (make_chunk_room(s, m, to - from)) {
        s->failed = 1;
        return;
    }
    for (size_t at = from; at < to; n++) {
        s->sources[n] = (uint32_t)at;
        at += decode(text + at, to - at, s->points + n);
    }
    for (size_t i = 0; i < n;) {
        size_t j = i;
        while (j < n && !(m->flags[s->points[j]] & IS_SPACE)) j++;
        if (j > i) code_chunk(m, s, i, j, located);
        i = j + 1;
    }
}

INLINE size_t next_bit(const uint64_t *bits, size_t from, size_t to, uint64_t flip) {
    while (from < to) {
        uint64_t x = (bits[from / 64] ^ flip) >> (from % 64);
        if (x) {
            from += (size_t)__builtin_ctzll(x);
            return from < to ? from : to;
        }
        from = (from / 64 + 1) * 64;
    }
    return to;
}

/* ASCII up to a chunk that is not, that chunk and those that follow it up to an ASCII blank, ... */
INLINE void code_mixed(const Model *m, Scratch *s, const uint8_t *text, size_t n, int located) {
    for (size_t at = 0; at < n;) {
        size_t wide = next_bit(s->wide_bits, at, n, 0), start = wide;
        if (wide < n)
            while (start > at && s->solid_bits[(start - 1) / 64] >> ((start - 1) % 64) & 1) start--;
        code_ascii(m, s, at, start, located);
        at = next_bit(s->solid_bits, wide, n, ~0ull); /* the next ASCII blank */
        if (wide < n) code_wide(m, s, text, start, at, located);
    }
}

/* Count every n-gram of a narrative. */
INLINE int count_narrative(const Model *m, Scratch *s, const uint8_t *text, size_t n,
                           int located) {
    if (make_room(s, n)) return -1;
    if (scan(s, text, n)) code_mixed(m, s, text, n, located);
    else code_ascii(m, s, 0, n, located);
    count_words(m, s, located);
    return s->failed ? -1 : 0;
}

/* ---- from counts to scores ---- */

typedef double Eight __attribute__((vector_size(64), aligned(8)));
typedef uint64_t EightWhole __attribute__((vector_size(64), aligned(8)));

/* sums = values @ rows. The idf squared, in one of the last eight columns, are multiplied by the
   values twice: `once` is 1 in the others of these eight, and the eight after it are 1 in that. */
WIDEST
static void add_rows(const double *rows, size_t stride, const uint32_t *features,
                     const double *values, size_t n, const double *once, double *sums) {
    const Eight *masks = (const Eight *)once, none = {0};
    for (size_t p = 0, width; p < stride; p += width) {
        width = p + 16 <= stride ? 16 : 8;
        int last = p + width == stride;
        Eight a = {0}, b = {0}, keep = masks[0], pick = masks[1];
        if (!last) {
            keep += pick;
            pick = none;
        }
        for (size_t i = 0; i < n; i++) {
            const double *row = rows + stride * features[i] + p;
            if (i + 12 < n) {
                const double *later = rows + stride * features[i + 12] + p;
                __builtin_prefetch(later);
                __builtin_prefetch(later + 8);
            }
            if (width == 16) a += *(const Eight *)row * values[i];
            b += *(const Eight *)(row + width - 8) * values[i] * (keep + pick * values[i]);
        }
        if (width == 16) memcpy(sums + p, &a, sizeof a);
        memcpy(sums + p + width - 8, &b, sizeof b);
    }
}

/* exp by its Taylor series about the nearest multiple of log 2; relative error below 1e-14. */
INLINE void exp_eight(const double *from, double *to) {
    Eight x;
    memcpy(&x, from, sizeof x);
    const double rounder = 0x1.8p52; /* adding it leaves the nearest whole number in the low bits */
    Eight scaled = x * 0x1.71547652b82fep0 + rounder, whole = scaled - rounder;
    Eight rest = x - whole * 0x1.62e42fefa3800p-1 - whole * 0x1.ef35793c76730p-45;
    Eight sum = rest * (1.0 / 39916800) + 1.0 / 3628800;
    sum = sum * rest + 1.0 / 362880;
    sum = sum * rest + 1.0 / 40320;
    sum = sum * rest + 1.0 / 5040;
    sum = sum * rest + 1.0 / 720;
    sum = sum * rest + 1.0 / 120;
    sum = sum * rest + 1.0 / 24;
    sum = sum * rest + 1.0 / 6;
    sum = sum * rest + 0.5;
    sum = sum * rest + 1.0;
    sum = sum * rest + 1.0;
    sum *= (Eight)(((EightWhole)scaled + 1023) << 52);
    memcpy(to, &sum, sizeof sum);
}

/* In place: 1 / (1 + exp(-x)). */
WIDEST
static void squash(double *x, size_t n) {
    for (size_t i = 0; i < n; i += 8) {
        size_t width = n - i < 8 ? n - i : 8;
        double some[8] = {0};
        for (size_t j = 0; j < width; j++) { /* beyond 700 exp leaves its range; the answer is 0 or 1 */
            double line = x[i + j];
            some[j] = line > 700 ? -700 : line < -700 ? 700 : -line;
        }
        exp_eight(some, some);
        for (size_t j = 0; j < width; j++) x[i + j] = 1 / (1 + some[j]);
    }
}

INLINE double term_frequency(const Model *m, uint32_t n) {
    return n < MOST_LOGS ? m->logs[n] : 1 + log((double)n);
}

/* Sum up one block's rows and return the factor that gives the block its length. */
INLINE double sum_block(const Model *m, Scratch *s, int block, int located) {
    size_t n = s->n_touched[block];
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = s->touched[block][i], feature = m->features[slot];
        s->values[i] = term_frequency(m, s->counts[slot]);
        s->used[i] = feature;
        __builtin_prefetch(m->rows + (size_t)feature * (size_t)m->stride);
        if (!located) s->counts[slot] = 0;
    }
    add_rows(m->rows, (size_t)m->stride, s->used, s->values, n, m->once, s->sums);
    if (!located) s->n_touched[block] = 0;
    double squares = s->sums[m->n_categories];
    return squares > 0 ? (block ? m->gram_weight : 1.0) / sqrt(squares) : 0;
}

static int score_narrative(const Model *m, Scratch *s, const uint8_t *text, size_t n,
                           double *out) {
    if (count_narrative(m, s, text, n, 0)) return -1;
    for (int j = 0; j < m->n_categories; j++) out[j] = m->intercept[j];
    for (int block = 0; block < 2; block++) {
        if (!s->n_touched[block]) continue;
        double factor = sum_block(m, s, block, 0);
        for (int j = 0; j < m->n_categories; j++) out[j] += factor * s->sums[j];
    }
    return 0;
}

/* The first narrative that begins at `place` or after it. */
static Py_ssize_t find_narrative(const int64_t *offsets, Py_ssize_t n, int64_t place) {
    Py_ssize_t low = 0, high = n;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if (offsets[middle] < place) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Take the next stretch of text that no thread has, until none is left, and score the narratives
   that begin in it. Threads that are held up thus take fewer. */
static int score_stretches(const Model *m, const uint8_t *text, const int64_t *offsets,
                           Py_ssize_t n, double *out, int calibrated, int64_t *taken,
                           int64_t size) {
    Scratch s;
    int failed = make_scratch(&s, m);
    const Py_ssize_t k = m->n_categories;
    while (!failed) {
        int64_t stretch = __atomic_fetch_add(taken, 1, __ATOMIC_RELAXED);
        if (stretch < 0 || stretch > (offsets[n] - offsets[0]) / size) break;
        int64_t place = offsets[0] + stretch * size;
        Py_ssize_t from = find_narrative(offsets, n, place),
                   to = find_narrative(offsets, n, place + size);
        for (Py_ssize_t i = from; i < to && !failed; i++) {
            double *row = out + i * k;
            failed = score_narrative(m, &s, text + offsets[i],
                                     (size_t)(offsets[i + 1] - offsets[i]), row);
            for (Py_ssize_t j = 0; calibrated && j < k; j++)
                row[j] = row[j] * m->slope[j] + m->offset[j];
        }
        if (calibrated && !failed) squash(out + from * k, (size_t)((to - from) * k));
    }
    free_scratch(&s);
    return failed;
}

static void forget(Scratch *s) {
    for (int block = 0; block < 2; block++) {
        for (size_t i = 0; i < s->n_touched[block]; i++) s->counts[s->touched[block][i]] = 0;
        s->n_touched[block] = 0;
    }
    s->n_occurrences = 0;
}

/* A term's value is shared equally among its occurrences; each falls to the part it begins in. */
static int locate_narrative(const Model *m, Scratch *s, const uint8_t *text, size_t n,
                            const int64_t *starts, size_t n_parts, double *out) {
    if (count_narrative(m, s, text, n, 1)) return -1;
    for (size_t i = 0; i < n_parts * (size_t)m->n_categories; i++) out[i] = 0;
    double factors[2] = {sum_block(m, s, 0, 1), sum_block(m, s, 1, 1)};
    for (size_t i = 0; n_parts && i < s->n_occurrences; i++) {
        uint32_t slot = s->occurrences[i].slot, feature = m->features[slot];
        if (feature == m->n_features) continue;
        size_t low = 0, high = n_parts; /* the last part that begins at or before it, or the first */
        while (high - low > 1) {
            size_t middle = (low + high) / 2;
            if (starts[middle] <= (int64_t)s->occurrences[i].start) low = middle;
            else high = middle;
        }
        uint32_t tf = s->counts[slot];
        double share = factors[slot >= m->first_gram] * term_frequency(m, tf) / tf;
        const double *row = m->rows + (size_t)feature * (size_t)m->stride;
        double *to = out + low * (size_t)m->n_categories;
        for (int j = 0; j < m->n_categories; j++) to[j] += share * row[j];
    }
    forget(s);
    return 0;
}

static int locate_parts(const Model *m, const uint8_t *text, const int64_t *offsets, Py_ssize_t n,
                        double *out, const int64_t *parts, const int64_t *starts) {
    Scratch s;
    int failed = make_scratch(&s, m);
    for (Py_ssize_t i = 0; i < n && !failed; i++)
        failed = locate_narrative(m, &s, text + offsets[i], (size_t)(offsets[i + 1] - offsets[i]),
                                  starts + parts[i], (size_t)(parts[i + 1] - parts[i]),
                                  out + parts[i] * m->n_categories);
    free_scratch(&s);
    return failed;
}

/* ---- Python ---- */

static const char *CAPSULE = "boundary_research.classifier._kernel.Model";

static void free_model(Model *m) {
    for (int i = 0; i < N_BUFFERS; i++)
        if (m->buffers[i].obj) PyBuffer_Release(m->buffers + i);
    free(m->word_places.displacements); free(m->edge_places.displacements);
    free(m->gram_places.displacements); free(m->words); free(m->word_entries); free(m->edges);
    free(m->edge_nodes); free(m->grams); free(m->gram_entries); free(m->features); free(m);
}

static void destroy(PyObject *capsule) {
    Model *m = PyCapsule_GetPointer(capsule, CAPSULE);
    if (m) free_model(m);
}

enum { MOST_DISPLACEMENTS = 1 << 16 };

/* Try one table size: 0 if every key got a slot, 1 if not, -1 without memory. */
static int try_places(Places *places, const uint64_t *hashes, size_t n, int slot_bits,
                      uint32_t *slots) {
    int bucket_bits = slot_bits > 3 ? slot_bits - 2 : 1, result = -1;
    size_t n_slots = (size_t)1 << slot_bits, n_buckets = (size_t)1 << bucket_bits, largest = 0;
    places->shift = 64 - bucket_bits;
    places->mask = (uint32_t)(n_slots - 1);
    free(places->displacements);
    places->displacements = calloc(n_buckets, sizeof(uint16_t));
    uint32_t *begin = calloc(n_buckets + 1, sizeof(uint32_t));
    uint32_t *fill = calloc(n_buckets, sizeof(uint32_t));
    uint32_t *order = malloc((n + 1) * sizeof(uint32_t));
    uint8_t *taken = calloc(n_slots, 1);
    if (!places->displacements || !begin || !fill || !order || !taken) goto done;
    for (size_t i = 0; i < n; i++) begin[(hashes[i] >> places->shift) + 1]++;
    for (size_t b = 0; b < n_buckets; b++) {
        if (begin[b + 1] > largest) largest = begin[b + 1];
        begin[b + 1] += begin[b];
    }
    for (size_t i = 0; i < n; i++) {
        size_t b = hashes[i] >> places->shift;
        order[begin[b] + fill[b]++] = (uint32_t)i;
    }
    result = 0;
    for (size_t size = largest; size > 0 && !result; size--) /* the fullest buckets first */
        for (size_t b = 0; b < n_buckets && !result; b++) {
            if (fill[b] != size) continue;
            uint32_t d = 0;
            for (size_t done = 0; done < size && d < MOST_DISPLACEMENTS; d++) {
                for (done = 0; done < size; done++) {
                    uint32_t i = order[begin[b] + done];
                    uint32_t slot = place_at(hashes[i], d, places->mask);
                    if (taken[slot]) break;
                    taken[slot] = 1;
                    slots[i] = slot;
                }
                for (size_t k = 0; done < size && k < done; k++)
                    taken[slots[order[begin[b] + k]]] = 0;
                result = done < size;
                if (!result) places->displacements[b] = (uint16_t)d;
            }
        }
done:
    free(begin); free(fill); free(order); free(taken);
    return result;
}

/* 0, or 1 if two keys are the same, or -1 without memory. */
static int make_places(Places *places, const uint64_t *hashes, size_t n, uint32_t *slots) {
    int bits = 2, result = 1;
    while (((size_t)1 << bits) * 9 < n * 10) bits++;
    for (int more = 0; result == 1 && more < 3 && bits + more < 31; more++)
        result = try_places(places, hashes, n, bits + more, slots);
    return result;
}

static void make_masks(Model *m) {
    for (unsigned n = 0; n <= SHORT_WORD; n++) {
        m->low_masks[n] = keep_bytes(~0ull, n);
        m->high_masks[n] = n > 8 ? keep_bytes(~0ull, n - 8) : 0;
    }
}

/* Each of the next three gives the terms of one table their slots and fills it; `hashes` is room.
   The pools end in slack, so that keys may be read 16 bytes at a time. */
static int place_words(Model *m, uint64_t *hashes, uint32_t *slots, size_t n) {
    WordKey *keys = malloc((n + 1) * sizeof *keys);
    if (!keys) return -1;
    for (size_t i = 0; i < n; i++) {
        int64_t start = i ? m->word_ends[i - 1] : 0;
        word_key(m, m->word_pool + start, (size_t)(m->word_ends[i] - start), &keys[i].low,
                 &keys[i].high);
        hashes[i] = word_hash(keys[i].low, keys[i].high);
    }
    int result = make_places(&m->word_places, hashes, n, slots);
    size_t room = (size_t)m->word_places.mask + 2;
    m->words = calloc(room, sizeof *m->words);
    m->word_entries = calloc(room, sizeof *m->word_entries);
    if (!m->words || !m->word_entries) result = -1;
    for (size_t i = 0; i < n && !result; i++) {
        m->words[slots[i]] = keys[i];
        m->word_entries[slots[i]] = (uint32_t)i;
    }
    free(keys);
    return result;
}

/* In Python word i alone is node i; here it is the word's slot, and other nodes come after. */
INLINE uint64_t edge_key(const Model *m, const uint32_t *word_slots, size_t n_words, uint64_t key) {
    uint64_t parent = key >> 32, first = (uint64_t)m->word_places.mask + 2;
    parent = parent < n_words ? word_slots[parent] : first + parent - n_words;
    return parent << 32 | word_slots[key & NONE];
}

static int place_edges(Model *m, uint64_t *hashes, uint32_t *slots, size_t n,
                       const uint32_t *word_slots, size_t n_words) {
    const uint64_t *keys = m->buffers[EDGE_KEYS].buf;
    const uint32_t *nodes = m->buffers[EDGE_NODES].buf;
    for (size_t i = 0; i < n; i++) hashes[i] = mix(edge_key(m, word_slots, n_words, keys[i]));
    int result = make_places(&m->edge_places, hashes, n, slots);
    size_t room = (size_t)m->edge_places.mask + 2;
    m->edges = malloc(room * sizeof *m->edges);
    m->edge_nodes = malloc(room * sizeof *m->edge_nodes);
    if (!m->edges || !m->edge_nodes) return -1;
    memset(m->edges, 0xFF, room * sizeof *m->edges);
    memset(m->edge_nodes, 0xFF, room * sizeof *m->edge_nodes);
    for (size_t i = 0; i < n && !result; i++) {
        m->edges[slots[i]] = edge_key(m, word_slots, n_words, keys[i]);
        m->edge_nodes[slots[i]] = m->word_places.mask + 2 + nodes[i] - (uint32_t)n_words;
    }
    return result;
}

static int place_grams(Model *m, uint64_t *hashes, uint32_t *slots, size_t n) {
    uint64_t *keys = malloc((n + 1) * sizeof *keys);
    if (!keys) return -1;
    for (size_t i = 0; i < n; i++) {
        int64_t start = i ? m->gram_ends[i - 1] : 0;
        keys[i] = gram_key(m->gram_pool + start, (size_t)(m->gram_ends[i] - start));
        hashes[i] = mix(keys[i]);
    }
    int result = make_places(&m->gram_places, hashes, n, slots);
    size_t room = (size_t)m->gram_places.mask + 1;
    m->grams = calloc(room, sizeof *m->grams);
    m->gram_entries = calloc(room, sizeof *m->gram_entries);
    if (!m->grams || !m->gram_entries) result = -1;
    for (size_t i = 0; i < n && !result; i++) {
        m->grams[slots[i]] = keys[i];
        m->gram_entries[slots[i]] = (uint32_t)i;
    }
    free(keys);
    return result;
}

static int place_features(Model *m, const uint32_t *slots, const size_t *n) {
    m->first_edge = m->word_places.mask + 2;
    m->first_gram = m->first_edge + m->edge_places.mask + 2;
    m->n_slots = m->first_gram + m->gram_places.mask + 1;
    m->features = malloc(((size_t)m->n_slots + 1) * sizeof *m->features);
    if (!m->features) return -1;
    for (size_t i = 0; i <= m->n_slots; i++) m->features[i] = m->n_features;
    const int buffers[3] = {WORD_FEATURES, EDGE_FEATURES, GRAM_FEATURES};
    const uint32_t firsts[3] = {0, m->first_edge, m->first_gram};
    for (int table = 0; table < 3; table++) {
        const uint32_t *features = m->buffers[buffers[table]].buf;
        for (size_t i = 0; i < n[table]; i++) m->features[firsts[table] + *slots++] = features[i];
    }
    return 0;
}

static int build_tables(Model *m) {
    size_t n[3] = {(size_t)m->buffers[WORD_ENDS].len / 8, (size_t)m->buffers[EDGE_KEYS].len / 8,
                   (size_t)m->buffers[GRAM_ENDS].len / 8};
    int result = -1;
    uint64_t *hashes = malloc((n[0] + n[1] + n[2] + 1) * sizeof(uint64_t));
    uint32_t *slots = malloc((n[0] + n[1] + n[2] + 1) * sizeof(uint32_t));
    if (!hashes || !slots) goto done;
    make_masks(m);
    if ((result = place_words(m, hashes, slots, n[0]))) goto done;
    if ((result = place_edges(m, hashes, slots + n[0], n[1], slots, n[0]))) goto done;
    if ((result = place_grams(m, hashes, slots + n[0] + n[1], n[2]))) goto done;
    result = place_features(m, slots, n);
done:
    free(hashes); free(slots);
    return result;
}

static int check_ends(const Py_buffer *pool, const Py_buffer *ends) {
    const int64_t *end = ends->buf;
    int64_t last = 0;
    for (Py_ssize_t i = 0; i < ends->len / 8; i++) {
        if (end[i] <= last) return 0;
        last = end[i];
    }
    return last + SLACK <= pool->len;
}

static int check_features(const Py_buffer *features, uint32_t n_features) {
    const uint32_t *feature = features->buf;
    for (Py_ssize_t i = 0; i < features->len / 4; i++)
        if (feature[i] > n_features) return 0;
    return 1;
}

/* An edge leads from a node to a word, and to a node that is not a single word. */
static int check_edges(const Model *m) {
    const uint64_t *keys = m->buffers[EDGE_KEYS].buf;
    const uint32_t *nodes = m->buffers[EDGE_NODES].buf;
    size_t n_words = (size_t)m->buffers[WORD_ENDS].len / 8,
           n = (size_t)m->buffers[EDGE_KEYS].len / 8;
    for (size_t i = 0; i < n; i++)
        if ((keys[i] & NONE) >= n_words || keys[i] >> 32 >= n_words + n || nodes[i] < n_words ||
            nodes[i] >= n_words + n)
            return 0;
    return 1;
}

/* How many bytes and code points the lower case of one byte can become; 0 if a table is wrong. */
static int measure_growth(Model *m) {
    uint8_t bytes[4];
    size_t n_expansions = (size_t)m->buffers[EXPANSIONS].len / 4;
    m->bytes_growth = 3; /* a byte that is no UTF-8 becomes U+FFFD */
    m->points_growth = 1;
    for (uint32_t c = 0; c < N_CODE_POINTS; c++) {
        int32_t low = m->lower[c];
        size_t forms = 1, length = 0;
        if (low >= 0) {
            if ((uint32_t)low >= N_CODE_POINTS) return 0;
            if ((uint32_t)low == c) continue;
            length = encode((uint32_t)low, bytes);
        } else {
            size_t at = (size_t)(-1 - (int64_t)low);
            if (at >= n_expansions || (forms = m->expansions[at]) == 0 ||
                forms > n_expansions - at - 1)
                return 0;
            for (size_t f = 1; f <= forms; f++) {
                if (m->expansions[at + f] >= N_CODE_POINTS) return 0;
                length += encode(m->expansions[at + f], bytes);
            }
        }
        size_t own = encode(c, bytes), ratio = (length + own - 1) / own;
        if ((int)ratio > m->bytes_growth) m->bytes_growth = (int)ratio;
        if ((int)forms > m->points_growth) m->points_growth = (int)forms;
    }
    return 1;
}

/* The fast scan knows ASCII by heart; Python must agree with it. */
static int check_ascii(const Model *m) {
    for (uint32_t c = 0; c < 128; c++) {
        int capital = c >= 'A' && c <= 'Z', letter = capital || (c >= 'a' && c <= 'z');
        int word = letter || (c >= '0' && c <= '9') || c == '_';
        int blank = c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
        if (word != !!(m->flags[c] & IS_WORD) || blank != !!(m->flags[c] & IS_SPACE)) return 0;
        if (m->lower[c] != (int32_t)(capital ? c + 32 : c)) return 0;
    }
    for (uint32_t c = 0; c < N_CODE_POINTS; c++) /* a word never crosses a blank */
        if (m->flags[c] & IS_WORD && m->flags[c] & IS_SPACE) return 0;
    return 1;
}

static int check_model(Model *m) {
    const Py_buffer *b = m->buffers;
    m->flags = b[FLAGS].buf;
    m->lower = b[LOWER].buf;
    m->expansions = b[EXPANSIONS].buf;
    m->word_pool = b[WORD_POOL].buf;
    m->gram_pool = b[GRAM_POOL].buf;
    m->word_ends = b[WORD_ENDS].buf;
    m->gram_ends = b[GRAM_ENDS].buf;
    m->rows = b[ROWS].buf;
    m->intercept = b[HEAD].buf;
    m->slope = m->intercept + m->n_categories;
    m->offset = m->slope + m->n_categories;
    return b[FLAGS].len == N_CODE_POINTS && b[LOWER].len == 4 * (Py_ssize_t)N_CODE_POINTS &&
           b[WORD_FEATURES].len * 2 == b[WORD_ENDS].len &&
           b[EDGE_NODES].len * 2 == b[EDGE_KEYS].len &&
           b[EDGE_FEATURES].len * 2 == b[EDGE_KEYS].len &&
           b[GRAM_FEATURES].len * 2 == b[GRAM_ENDS].len && m->n_categories > 0 &&
           m->stride > m->n_categories && m->stride % 8 == 0 && m->longest_run >= 0 &&
           m->longest_run <= LONGEST_NGRAM && m->longest_gram >= 0 &&
           m->longest_gram <= LONGEST_NGRAM && (!m->longest_gram || m->shortest_gram > 0) &&
           b[ROWS].len == 8 * (Py_ssize_t)m->stride * ((Py_ssize_t)m->n_features + 1) &&
           check_ends(b + WORD_POOL, b + WORD_ENDS) && check_ends(b + GRAM_POOL, b + GRAM_ENDS) &&
           b[HEAD].len == 3 * 8 * (Py_ssize_t)m->n_categories && check_edges(m) &&
           check_features(b + WORD_FEATURES, m->n_features) &&
           check_features(b + EDGE_FEATURES, m->n_features) &&
           check_features(b + GRAM_FEATURES, m->n_features) && measure_growth(m) && check_ascii(m);
}

static PyObject *build(PyObject *self, PyObject *args) {
    (void)self;
    Model *m = calloc(1, sizeof *m);
    if (!m) return PyErr_NoMemory();
    Py_buffer *b = m->buffers;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*y*y*y*y*y*y*y*Iiiiiid", b, b + 1, b + 2, b + 3, b + 4,
                          b + 5, b + 6, b + 7, b + 8, b + 9, b + 10, b + 11, b + 12, b + 13,
                          &m->n_features, &m->n_categories, &m->stride, &m->longest_run,
                          &m->shortest_gram, &m->longest_gram, &m->gram_weight)) {
        /* A failed parse has released what it took. */
        free(m);
        return NULL;
    }
    if (!check_model(m)) {
        free_model(m);
        PyErr_SetString(PyExc_ValueError, "the arrays of the model do not fit together");
        return NULL;
    }
    int result = build_tables(m);
    if (result) {
        free_model(m);
        if (result < 0) return PyErr_NoMemory();
        PyErr_SetString(PyExc_ValueError, "two terms of the model are the same");
        return NULL;
    }
    for (int i = 0; i < 16; i++) m->once[i] = (i == m->n_categories % 8 + 8) || i < 8;
    m->once[m->n_categories % 8] = 0;
    for (int i = 1; i < MOST_LOGS; i++) m->logs[i] = 1 + log((double)i);
    PyObject *capsule = PyCapsule_New(m, CAPSULE, destroy);
    if (!capsule) free_model(m);
    return capsule;
}

static int check_offsets(const Py_buffer *offsets, Py_ssize_t end, int64_t most) {
    const int64_t *at = offsets->buf;
    if (offsets->len < 8 || offsets->len % 8 || at[0] < 0) return 0;
    for (Py_ssize_t i = 1; i < offsets->len / 8; i++)
        if (at[i] < at[i - 1] || at[i] - at[i - 1] > most) return 0;
    return at[offsets->len / 8 - 1] <= end;
}

static PyObject *answer(const Model *m, int wrong, int failed) {
    if (!m) return NULL;
    if (wrong) {
        PyErr_SetString(PyExc_ValueError, "offsets or the output do not fit the text");
        return NULL;
    }
    if (failed) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* score(model, bytes, offsets, out, calibrated, taken, size): out gets a row of scores, or of
   probabilities, for each narrative. Several threads may call it with the same arguments: `taken`
   counts the stretches of `size` bytes that one of them has begun. */
static PyObject *score(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *capsule;
    Py_buffer text = {0}, offsets = {0}, out = {0}, taken = {0};
    int calibrated, wrong = 0, failed = 0;
    long long size;
    if (!PyArg_ParseTuple(args, "Oy*y*w*pw*L", &capsule, &text, &offsets, &out, &calibrated, &taken,
                          &size))
        return NULL;
    const Model *m = PyCapsule_GetPointer(capsule, CAPSULE);
    if (m) {
        Py_ssize_t n = offsets.len / 8 - 1;
        wrong = !check_offsets(&offsets, text.len, LONGEST_TEXT) || size < 1 || size > 1ll << 40 ||
                out.len != n * 8 * (Py_ssize_t)m->n_categories || taken.len != 8 ||
                (uintptr_t)taken.buf % 8;
        if (!wrong) {
            Py_BEGIN_ALLOW_THREADS
            failed = score_stretches(m, text.buf, offsets.buf, n, out.buf, calibrated, taken.buf,
                                     size);
            Py_END_ALLOW_THREADS
        }
    }
    PyBuffer_Release(&text);
    PyBuffer_Release(&offsets);
    PyBuffer_Release(&out);
    PyBuffer_Release(&taken);
    return answer(m, wrong, failed);
}

/* locate(model, bytes, offsets, out, part_offsets, part_starts): out gets a row of scores, without
   intercepts, for each part of each narrative. */
static PyObject *locate(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *capsule;
    Py_buffer text = {0}, offsets = {0}, out = {0}, parts = {0}, starts = {0};
    int wrong = 0, failed = 0;
    if (!PyArg_ParseTuple(args, "Oy*y*w*y*y*", &capsule, &text, &offsets, &out, &parts, &starts))
        return NULL;
    const Model *m = PyCapsule_GetPointer(capsule, CAPSULE);
    if (m) {
        wrong = !check_offsets(&offsets, text.len, LONGEST_TEXT) || parts.len != offsets.len ||
                !check_offsets(&parts, starts.len / 8, INT64_MAX) ||
                out.len != starts.len / 8 * 8 * (Py_ssize_t)m->n_categories;
        if (!wrong) {
            Py_BEGIN_ALLOW_THREADS
            failed = locate_parts(m, text.buf, offsets.buf, offsets.len / 8 - 1, out.buf, parts.buf,
                                  starts.buf);
            Py_END_ALLOW_THREADS
        }
    }
    PyBuffer_Release(&text);
    PyBuffer_Release(&offsets);
    PyBuffer_Release(&out);
    PyBuffer_Release(&parts);
    PyBuffer_Release(&starts);
    return answer(m, wrong, failed);
}

static PyMethodDef methods[] = {
    {"build", build, METH_VARARGS, "Build a model from its arrays."},
    {"score", score, METH_VARARGS, "Score narratives."},
    {"locate", locate, METH_VARARGS, "Score the parts of narratives."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_kernel",
    .m_doc = "The fused coding path; see fast_coding.py.",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModule_Create(&module); }
