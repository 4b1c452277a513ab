/*
 * Implementation part of omni2cache.h: keys. SHA-256, and the canonical form of JSON that
 * Python's json.dumps(json.loads(text), sort_keys=True) writes: keys sorted by code point at
 * every depth, ", " and ": ", everything outside printable ASCII escaped, floats as repr.
 */
#ifndef OMNI2CACHE_KEY_H
#define OMNI2CACHE_KEY_H

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- SHA-256 (FIPS 180-4) ---- */

typedef struct omni2_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
} omni2_sha256;

static inline uint32_t omni2_rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static inline void omni2_sha256_block(omni2_sha256 *s, const unsigned char *p) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2};
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = omni2_rotate(w[i - 15], 7) ^ omni2_rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = omni2_rotate(w[i - 2], 17) ^ omni2_rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(v, s->state, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t e = omni2_rotate(v[4], 6) ^ omni2_rotate(v[4], 11) ^ omni2_rotate(v[4], 25);
        uint32_t t1 = v[7] + e + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        uint32_t a = omni2_rotate(v[0], 2) ^ omni2_rotate(v[0], 13) ^ omni2_rotate(v[0], 22);
        uint32_t t2 = a + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        for (int j = 7; j > 0; j--) v[j] = v[j - 1];
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) s->state[i] += v[i];
}

static inline void omni2_sha256_begin(omni2_sha256 *s) {
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->state, start, sizeof start);
    s->bytes = 0;
}

static inline void omni2_sha256_add(omni2_sha256 *s, const void *data, size_t count) {
    const unsigned char *p = (const unsigned char *)data;
    while (count > 0) {
        size_t at = s->bytes % 64;
        size_t part = 64 - at < count ? 64 - at : count;
        memcpy(s->block + at, p, part);
        s->bytes += part;
        p += part;
        count -= part;
        if (s->bytes % 64 == 0) omni2_sha256_block(s, s->block);
    }
}

static inline void omni2_sha256_end(omni2_sha256 *s, uint8_t digest[32]) {
    static const unsigned char padding[64] = {0x80};
    unsigned char length[8];
    uint64_t bits = s->bytes * 8;
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)(bits >> (56 - 8 * i));
    omni2_sha256_add(s, padding, 1 + (119 - s->bytes % 64) % 64);
    omni2_sha256_add(s, length, 8);
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
}

/* ---- Text that grows ---- */

typedef struct omni2_text {
    char *bytes;
    size_t count, capacity;
    int failed;
} omni2_text;

static inline void omni2_text_add(omni2_text *t, const char *bytes, size_t count) {
    if (t->failed) return;
    if (t->capacity - t->count < count) {
        size_t capacity = (t->capacity + count) * 2 + 64;
        char *grown = (char *)realloc(t->bytes, capacity);
        if (!grown) {
            t->failed = 1;
            return;
        }
        t->bytes = grown;
        t->capacity = capacity;
    }
    if (count > 0) memcpy(t->bytes + t->count, bytes, count);
    t->count += count;
}
static inline void omni2_text_put(omni2_text *t, const char *s) { omni2_text_add(t, s, strlen(s)); }

/* ---- Canonical JSON ---- */

enum { OMNI2_JSON_DEPTH_MAX = 256 };

typedef struct omni2_json {
    const unsigned char *at, *end;
    locale_t locale;
    int depth;
} omni2_json;

typedef struct omni2_member {
    size_t key, key_count, value, value_count, order;
    const omni2_text *keys;
} omni2_member;

static inline void omni2_json_space(omni2_json *j) {
    while (j->at < j->end &&
           (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
        j->at++;
}

static inline int omni2_json_hex4(omni2_json *j, uint32_t *unit) {
    *unit = 0;
    if (j->end - j->at < 4) return 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = *j->at++;
        uint32_t digit;
        if (c >= '0' && c <= '9') digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f') digit = (uint32_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F') digit = (uint32_t)(c - 'A' + 10);
        else return 0;
        *unit = *unit << 4 | digit;
    }
    return 1;
}

/* One code point of well-formed UTF-8. */
static inline int omni2_json_utf8(omni2_json *j, uint32_t *point) {
    unsigned char c = *j->at++;
    int more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2
               : c >= 0xf0 && c < 0xf5 ? 3 : -1;
    if (more < 0 || j->end - j->at < more) return 0;
    *point = more == 0 ? c : c & (0x3fu >> more);
    for (int i = 0; i < more; i++) {
        if ((*j->at & 0xc0) != 0x80) return 0;
        *point = *point << 6 | (*j->at++ & 0x3fu);
    }
    if (more == 2 && (*point < 0x800 || (*point >= 0xd800 && *point < 0xe000))) return 0;
    return more != 3 || (*point >= 0x10000 && *point <= 0x10ffff);
}

/*
 * Appends a code point as UTF-8. A lone surrogate, which Python keeps, takes three bytes as well;
 * bytewise order is then the order of code points.
 */
static inline void omni2_text_point(omni2_text *t, uint32_t point) {
    char b[4];
    if (point < 0x80) {
        b[0] = (char)point;
        omni2_text_add(t, b, 1);
    } else if (point < 0x800) {
        b[0] = (char)(0xc0 | point >> 6);
        b[1] = (char)(0x80 | (point & 0x3f));
        omni2_text_add(t, b, 2);
    } else if (point < 0x10000) {
        b[0] = (char)(0xe0 | point >> 12);
        b[1] = (char)(0x80 | (point >> 6 & 0x3f));
        b[2] = (char)(0x80 | (point & 0x3f));
        omni2_text_add(t, b, 3);
    } else {
        b[0] = (char)(0xf0 | point >> 18);
        b[1] = (char)(0x80 | (point >> 12 & 0x3f));
        b[2] = (char)(0x80 | (point >> 6 & 0x3f));
        b[3] = (char)(0x80 | (point & 0x3f));
        omni2_text_add(t, b, 4);
    }
}

static inline int omni2_json_escape(omni2_json *j, uint32_t *point) {
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (j->at >= j->end) return 0;
    char c = (char)*j->at++;
    if (c != 'u') {
        const char *name = c ? strchr(names, c) : NULL;
        if (!name) return 0;
        *point = (unsigned char)values[name - names];
        return 1;
    }
    if (!omni2_json_hex4(j, point)) return 0;
    if (*point >= 0xd800 && *point < 0xdc00 && j->end - j->at >= 6 && j->at[0] == '\\' &&
        j->at[1] == 'u') {
        omni2_json ahead = *j;
        uint32_t low;
        ahead.at += 2;
        if (omni2_json_hex4(&ahead, &low) && low >= 0xdc00 && low < 0xe000) {
            *point = 0x10000 + ((*point - 0xd800) << 10) + (low - 0xdc00);
            j->at = ahead.at;
        }
    }
    return 1;
}

/* The string at the cursor (behind its quote), decoded. */
static inline int omni2_json_string(omni2_json *j, omni2_text *out) {
    while (j->at < j->end) {
        uint32_t point;
        if (*j->at == '"') {
            j->at++;
            return 1;
        }
        if (*j->at < 0x20) return 0;
        if (*j->at == '\\') {
            j->at++;
            if (!omni2_json_escape(j, &point)) return 0;
        } else if (!omni2_json_utf8(j, &point)) {
            return 0;
        }
        omni2_text_point(out, point);
    }
    return 0;
}

static inline void omni2_text_unit(omni2_text *out, uint32_t unit) {
    char b[8];
    snprintf(b, sizeof b, "\\u%04x", unit & 0xffffu);
    omni2_text_add(out, b, 6);
}

/* Decoded text as an ASCII JSON string. */
static inline void omni2_text_quoted(omni2_text *out, const char *bytes, size_t count) {
    const unsigned char *p = (const unsigned char *)bytes, *end = p + count;
    omni2_text_put(out, "\"");
    while (p < end) {
        uint32_t c = *p++;
        int more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (more) c &= 0x3fu >> more;
        for (int i = 0; i < more; i++) c = c << 6 | (*p++ & 0x3fu);
        char plain = (char)c;
        switch (c) {
        case '"': omni2_text_put(out, "\\\""); break;
        case '\\': omni2_text_put(out, "\\\\"); break;
        case '\n': omni2_text_put(out, "\\n"); break;
        case '\r': omni2_text_put(out, "\\r"); break;
        case '\t': omni2_text_put(out, "\\t"); break;
        case '\f': omni2_text_put(out, "\\f"); break;
        case '\b': omni2_text_put(out, "\\b"); break;
        default:
            if (c >= 0x20 && c < 0x7f) {
                omni2_text_add(out, &plain, 1);
            } else if (c < 0x10000) {
                omni2_text_unit(out, c);
            } else {
                omni2_text_unit(out, 0xd800 + ((c - 0x10000) >> 10));
                omni2_text_unit(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
            }
        }
    }
    omni2_text_put(out, "\"");
}

/*
 * The fewest digits that read back as the same number; returns the decimal exponent of the first.
 * At a power of two the neighbours below are nearer than those above, so the shortest form may be
 * one off the correctly rounded one: both sides are tried.
 */
static inline int omni2_shortest(double value, locale_t locale, char digits[24], int *count) {
    char text[48];
    int exponent = 0, found = 0;
    locale_t before = uselocale(locale);
    for (int precision = 0; precision <= 16 && !found; precision++) {
        uint64_t mantissa = 0;
        snprintf(text, sizeof text, "%.*e", precision, value);
        for (const char *p = text; *p != 'e'; p++)
            if (*p != '.') mantissa = mantissa * 10 + (uint64_t)(*p - '0');
        exponent = atoi(strchr(text, 'e') + 1);
        for (int side = 0; side < 3 && !found; side++) {
            uint64_t candidate = mantissa + (uint64_t)(side == 2 ? -1 : side);
            snprintf(text, sizeof text, "%llue%d", (unsigned long long)candidate,
                     exponent - precision);
            found = strtod(text, NULL) == value;
        }
        *count = (int)(strchr(text, 'e') - text);
        exponent += *count - precision - 1; /* 9.9 + 0.1 has a digit more */
    }
    uselocale(before);
    memcpy(digits, text, (size_t)*count);
    while (*count > 1 && digits[*count - 1] == '0') (*count)--;
    return exponent;
}

/* A float as Python's repr writes it. */
static inline void omni2_text_float(omni2_text *out, double value, locale_t locale) {
    char digits[24], tail[16];
    int count;
    if (value != value) {
        omni2_text_put(out, "NaN");
        return;
    }
    if (value < 0 || (value == 0 && __builtin_signbit(value))) {
        omni2_text_put(out, "-");
        value = -value;
    }
    if (__builtin_isinf(value)) {
        omni2_text_put(out, "Infinity");
        return;
    }
    int point = omni2_shortest(value, locale, digits, &count) + 1; /* digits before the point */
    if (point > 16 || point < -3) {
        omni2_text_add(out, digits, 1);
        if (count > 1) {
            omni2_text_put(out, ".");
            omni2_text_add(out, digits + 1, (size_t)count - 1);
        }
        snprintf(tail, sizeof tail, "e%c%02d", point - 1 < 0 ? '-' : '+', abs(point - 1));
        omni2_text_put(out, tail);
    } else if (point <= 0) {
        omni2_text_put(out, "0.");
        for (int i = point; i < 0; i++) omni2_text_put(out, "0");
        omni2_text_add(out, digits, (size_t)count);
    } else {
        for (int i = 0; i < point; i++) omni2_text_add(out, i < count ? digits + i : "0", 1);
        omni2_text_put(out, ".");
        if (count > point) omni2_text_add(out, digits + point, (size_t)(count - point));
        else omni2_text_put(out, "0");
    }
}

static inline int omni2_json_digits(omni2_json *j) {
    const unsigned char *start = j->at;
    while (j->at < j->end && *j->at >= '0' && *j->at <= '9') j->at++;
    return j->at > start;
}

static inline int omni2_json_number(omni2_json *j, omni2_text *out) {
    const unsigned char *start = j->at;
    int whole = 1;
    if (*j->at == '-') j->at++;
    if (j->at < j->end && *j->at == '0') j->at++;
    else if (!omni2_json_digits(j)) return 0;
    if (j->at < j->end && *j->at == '.') {
        whole = 0;
        j->at++;
        if (!omni2_json_digits(j)) return 0;
    }
    if (j->at < j->end && (*j->at == 'e' || *j->at == 'E')) {
        whole = 0;
        j->at++;
        if (j->at < j->end && (*j->at == '+' || *j->at == '-')) j->at++;
        if (!omni2_json_digits(j)) return 0;
    }
    size_t count = (size_t)(j->at - start);
    if (whole) {
        if (count == 2 && start[0] == '-' && start[1] == '0') omni2_text_put(out, "0");
        else omni2_text_add(out, (const char *)start, count);
        return 1;
    }
    char *text = strndup((const char *)start, count);
    if (!text) return 0;
    double value = strtod_l(text, NULL, j->locale);
    free(text);
    omni2_text_float(out, value, j->locale);
    return 1;
}

static inline int omni2_member_order(const void *left, const void *right) {
    const omni2_member *a = (const omni2_member *)left, *b = (const omni2_member *)right;
    size_t common = a->key_count < b->key_count ? a->key_count : b->key_count;
    int order = common ? memcmp(a->keys->bytes + a->key, b->keys->bytes + b->key, common) : 0;
    if (order) return order;
    if (a->key_count != b->key_count) return a->key_count < b->key_count ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static inline int omni2_json_value(omni2_json *j, omni2_text *out);

static inline int omni2_json_members(omni2_json *j, omni2_text *keys, omni2_text *values,
                                     omni2_text *table) {
    omni2_json_space(j);
    if (j->at < j->end && *j->at == '}') {
        j->at++;
        return 1;
    }
    for (size_t order = 0;; order++) {
        omni2_member m;
        memset(&m, 0, sizeof m);
        omni2_json_space(j);
        if (j->at >= j->end || *j->at++ != '"') return 0;
        m.key = keys->count;
        if (!omni2_json_string(j, keys)) return 0;
        m.key_count = keys->count - m.key;
        omni2_json_space(j);
        if (j->at >= j->end || *j->at++ != ':') return 0;
        m.value = values->count;
        if (!omni2_json_value(j, values)) return 0;
        m.value_count = values->count - m.value;
        m.order = order;
        m.keys = keys;
        omni2_text_add(table, (const char *)&m, sizeof m);
        omni2_json_space(j);
        if (j->at >= j->end) return 0;
        if (*j->at == '}') {
            j->at++;
            return 1;
        }
        if (*j->at++ != ',') return 0;
    }
}

static inline int omni2_json_object(omni2_json *j, omni2_text *out) {
    omni2_text keys, values, table;
    memset(&keys, 0, sizeof keys);
    memset(&values, 0, sizeof values);
    memset(&table, 0, sizeof table);
    int fine = omni2_json_members(j, &keys, &values, &table) && !keys.failed && !values.failed &&
               !table.failed;
    if (fine) {
        omni2_member *members = (omni2_member *)(void *)table.bytes;
        size_t count = table.count / sizeof *members;
        if (count > 1) qsort(members, count, sizeof *members, omni2_member_order);
        int first = 1;
        omni2_text_put(out, "{");
        for (size_t i = 0; i < count; i++) {
            const omni2_member *m = &members[i];
            /* Of equal keys the last one counts. */
            if (i + 1 < count && m[1].key_count == m->key_count &&
                (m->key_count == 0 ||
                 memcmp(keys.bytes + m->key, keys.bytes + m[1].key, m->key_count) == 0))
                continue;
            if (!first) omni2_text_put(out, ", ");
            first = 0;
            omni2_text_quoted(out, keys.bytes + m->key, m->key_count);
            omni2_text_put(out, ": ");
            omni2_text_add(out, values.bytes + m->value, m->value_count);
        }
        omni2_text_put(out, "}");
    }
    free(keys.bytes);
    free(values.bytes);
    free(table.bytes);
    return fine;
}

static inline int omni2_json_array(omni2_json *j, omni2_text *out) {
    omni2_text_put(out, "[");
    omni2_json_space(j);
    if (j->at < j->end && *j->at == ']') {
        j->at++;
        omni2_text_put(out, "]");
        return 1;
    }
    for (;;) {
        if (!omni2_json_value(j, out)) return 0;
        omni2_json_space(j);
        if (j->at >= j->end) return 0;
        if (*j->at == ']') {
            j->at++;
            omni2_text_put(out, "]");
            return 1;
        }
        if (*j->at++ != ',') return 0;
        omni2_text_put(out, ", ");
    }
}

/* One of the words Python's reader knows, NaN and the infinities included. */
static inline int omni2_json_word(omni2_json *j, omni2_text *out) {
    static const char *const words[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t count = strlen(words[i]);
        if ((size_t)(j->end - j->at) >= count && memcmp(j->at, words[i], count) == 0) {
            j->at += count;
            omni2_text_put(out, words[i]);
            return 1;
        }
    }
    return 0;
}

static inline int omni2_json_value(omni2_json *j, omni2_text *out) {
    omni2_json_space(j);
    if (j->at >= j->end || j->depth >= OMNI2_JSON_DEPTH_MAX) return 0;
    unsigned char c = *j->at;
    int fine;
    j->depth++;
    if (c == '{') {
        j->at++;
        fine = omni2_json_object(j, out);
    } else if (c == '[') {
        j->at++;
        fine = omni2_json_array(j, out);
    } else if (c == '"') {
        omni2_text decoded;
        memset(&decoded, 0, sizeof decoded);
        j->at++;
        fine = omni2_json_string(j, &decoded) && !decoded.failed;
        if (fine) omni2_text_quoted(out, decoded.bytes, decoded.count);
        free(decoded.bytes);
    } else if ((c >= '0' && c <= '9') || (c == '-' && j->end - j->at > 1 && j->at[1] != 'I')) {
        fine = omni2_json_number(j, out);
    } else {
        fine = omni2_json_word(j, out);
    }
    j->depth--;
    return fine;
}

/* The whole text must be one value. The caller frees out->bytes. */
static inline int omni2_canonical(const char *json, size_t length, omni2_text *out) {
    omni2_json j;
    memset(out, 0, sizeof *out);
    j.at = (const unsigned char *)json;
    j.end = j.at + length;
    j.depth = 0;
    j.locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!j.locale) return OMNI2_E_MEMORY;
    int fine = omni2_json_value(&j, out);
    omni2_json_space(&j);
    freelocale(j.locale);
    if (out->failed) return OMNI2_E_MEMORY;
    return fine && j.at == j.end ? OMNI2_OK : OMNI2_E_ARGUMENT;
}

/* ---- Keys ---- */

OMNI2CACHE_API long omni2_cache_canonical(const char *json, size_t length, char *out,
                                          size_t capacity) {
    omni2_text text;
    int result = omni2_canonical(json, length, &text);
    long count = result == OMNI2_OK ? (long)text.count : (long)result;
    if (result == OMNI2_OK && out && text.count <= capacity) memcpy(out, text.bytes, text.count);
    free(text.bytes);
    return count;
}

OMNI2CACHE_API int omni2_cache_key(uint8_t key[32], const char *server, const char *tool,
                                   const char *json, size_t length) {
    omni2_text text;
    omni2_sha256 s;
    int result = omni2_canonical(json, length, &text);
    if (result == OMNI2_OK) {
        omni2_sha256_begin(&s);
        omni2_sha256_add(&s, server, strlen(server));
        omni2_sha256_add(&s, ":", 1);
        omni2_sha256_add(&s, tool, strlen(tool));
        omni2_sha256_add(&s, ":", 1);
        omni2_sha256_add(&s, text.bytes, text.count);
        omni2_sha256_end(&s, key);
    }
    free(text.bytes);
    return result;
}

static inline void omni2_sha256_part(omni2_sha256 *s, const char *bytes, size_t count) {
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)count >> (8 * i));
    omni2_sha256_add(s, length, 8);
    omni2_sha256_add(s, bytes, count);
}

OMNI2CACHE_API int omni2_cache_key_native(uint8_t key[32], const char *scope, const char *epoch,
                                          const char *server, const char *tool, const char *json,
                                          size_t length) {
    omni2_text text;
    omni2_sha256 s;
    int result = omni2_canonical(json, length, &text);
    if (result == OMNI2_OK) {
        const char *parts[] = {"omni2-cache-1", scope, epoch, server, tool};
        omni2_sha256_begin(&s);
        for (int i = 0; i < 5; i++) omni2_sha256_part(&s, parts[i], strlen(parts[i]));
        omni2_sha256_part(&s, text.bytes, text.count);
        omni2_sha256_end(&s, key);
    }
    free(text.bytes);
    return result;
}

#ifdef __cplusplus
}
#endif

#endif
