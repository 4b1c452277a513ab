/* Key vectors: what the original computes for the same calls, and what JSON is refused. */
#include "omni2cache.h"

#include <stdio.h>

static int failures, passes;

static void expect(int holds, const char *what) {
    if (holds) {
        passes++;
        return;
    }
    failures++;
    printf("FAILED: %s\n", what);
}

static void expect_key(const char *server, const char *tool, const char *json,
                       const char *wanted) {
    uint8_t key[32];
    char hex[65] = "";
    int result = omni2_cache_key(key, server, tool, json, strlen(json));
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", key[i]);
    expect(result == OMNI2_OK && strcmp(hex, wanted) == 0, json);
}

static void expect_canonical(const char *json, const char *wanted) {
    char out[256];
    long count = omni2_cache_canonical(json, strlen(json), out, sizeof out);
    int same = count == (long)strlen(wanted) && memcmp(out, wanted, strlen(wanted)) == 0;
    if (!same) printf("%s -> %.*s\n", json, count > 0 ? (int)count : 0, out);
    expect(same, json);
}

static void expect_refused(const char *json) {
    expect(omni2_cache_canonical(json, strlen(json), NULL, 0) == OMNI2_E_ARGUMENT, json);
}

int main(void) {
    expect_key("test-mcp", "test_tool", "{\"param\":\"value\"}",
               "480143310df718733e1b94983c8cad30b6afe1416da0a640762b3ccb00f4c5af");
    expect_key("m", "t", "{}",
               "1d6fd72185560e2ba1c2adc6d9433dc71fd7bdbbaa2859dab65ade1506b05ee8");
    expect_key("m", "t", "{\"b\":1,\"a\":[1,2.5,true,null,\"\xc3\xa9\"]}",
               "37b9b5631e0303483ebfb56f4255544ab660164bc6c1838026ece135919ebb6e");
    expect_key("m", "t", "{\"z\":{\"y\":2,\"x\":1}}",
               "7bd55805c7bec3441005a323c7a2d17fa7b2e15970edff4b51161a2f592e8e80");
    expect_key("m", "t", "{\"n\":1.0}",
               "64ea59c37e9add25c9cbfb9371dbf9e8cb94370c59cdcf45b6929a63839dd8f2");
    expect_key("m", "t", "{\"s\":\"a/b\\\"\\\\\\n\\u2028\\ud83d\\ude00\"}",
               "71b588c47a3a1acd0458e3d9cd32945708cc07f371f5d47d903346f6c8a8e12d");
    expect_key("a:b", "c", "{}",
               "2cb3f3a932d8634ad6ee49d411eafa2ba8e3b85b6e0784865f766a5c901aac71");
    expect_key("a", "b:c", "{}",
               "2cb3f3a932d8634ad6ee49d411eafa2ba8e3b85b6e0784865f766a5c901aac71");

    expect_canonical(" [ ] ", "[]");
    expect_canonical("{\"a\":1,\"a\":2}", "{\"a\": 2}");
    expect_canonical("{\"\":1,\"B\":2,\"a\":3,\"\\u00e9\":4}",
                     "{\"\": 1, \"B\": 2, \"a\": 3, \"\\u00e9\": 4}");
    expect_canonical("\"\\ud800\\u007f\\/\"", "\"\\ud800\\u007f/\"");
    expect_canonical("[-0, -0.0, 1e2, 1E400, 0.1, 1e16, 1e-4, 1e-5, 123456789012345680.0]",
                     "[0, -0.0, 100.0, Infinity, 0.1, 1e+16, 0.0001, 1e-05, "
                     "1.2345678901234568e+17]");
    expect_canonical("[5e-324, 1.7976931348623157e308, 9007199254740993.0, 2.5]",
                     "[5e-324, 1.7976931348623157e+308, 9007199254740992.0, 2.5]");
    expect_canonical("123456789012345678901234567890", "123456789012345678901234567890");

    const char *refused[] = {"",      "{",     "[1,]",   "{\"a\"}", "{a:1}",     "01",  "1.",
                             "+1",    "\"",    "\"\\x\"", "tru",     "[1] 2",     "\"\n\"",
                             "\"\xff\"", "\"\xed\xa0\x80\"", "\"\xc0\x80\"", "-", "1e"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) expect_refused(refused[i]);
    char deep[1200];
    memset(deep, '[', sizeof deep);
    expect(omni2_cache_canonical(deep, sizeof deep, NULL, 0) == OMNI2_E_ARGUMENT, "deep nesting");

    uint8_t one[32], two[32];
    omni2_cache_key_native(one, "shared", "", "a:b", "c", "{}", 2);
    omni2_cache_key_native(two, "shared", "", "a", "b:c", "{}", 2);
    expect(memcmp(one, two, 32) != 0, "native keys do not collide");
    printf("%d passed, %d failed\n", passes, failures);
    return failures != 0;
}
