#ifndef OMNI2_SHIM_CURL_H
#define OMNI2_SHIM_CURL_H

#include <curl/curl.h>

/* libcurl's set and get functions are variadic, which Swift cannot call: one shim per argument
 * type. Each returns curl's own code. */

static inline CURLcode omni2_curl_number(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode omni2_curl_size(CURL *easy, CURLoption option, long long value) {
    return curl_easy_setopt(easy, option, (curl_off_t)value);
}

/* Strings are copied by curl; so is the body given as CURLOPT_COPYPOSTFIELDS. */
static inline CURLcode omni2_curl_text(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode omni2_curl_pointer(CURL *easy, CURLoption option, const void *value) {
    return curl_easy_setopt(easy, option, value);
}

typedef size_t (*omni2_curl_bytes)(char *bytes, size_t size, size_t count, void *context);

static inline CURLcode omni2_curl_on_header(CURL *easy, omni2_curl_bytes call, void *context) {
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, context);
    return curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, call);
}

static inline CURLcode omni2_curl_on_body(CURL *easy, omni2_curl_bytes call, void *context) {
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, context);
    return curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, call);
}

/* Called for each socket that libcurl wants to open; CURL_SOCKET_BAD refuses. */
typedef curl_socket_t (*omni2_curl_opening)(
    void *context, curlsocktype purpose, struct curl_sockaddr *address);

static inline CURLcode omni2_curl_on_open(CURL *easy, omni2_curl_opening call) {
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, call);
}

typedef int (*omni2_curl_sending)(
    void *context, char *remote, char *local, int remote_port, int local_port);

static inline CURLcode omni2_curl_on_sending(CURL *easy, omni2_curl_sending call, void *context) {
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, context);
    return curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, call);
}

static inline long omni2_curl_long_info(CURL *easy, CURLINFO info) {
    long value = 0;
    return curl_easy_getinfo(easy, info, &value) == CURLE_OK ? value : -1;
}

static inline long long omni2_curl_size_info(CURL *easy, CURLINFO info) {
    curl_off_t value = 0;
    return curl_easy_getinfo(easy, info, &value) == CURLE_OK ? (long long)value : -1;
}

static inline const char *omni2_curl_text_info(CURL *easy, CURLINFO info) {
    char *value = 0;
    return curl_easy_getinfo(easy, info, &value) == CURLE_OK ? value : 0;
}

static inline CURLMcode omni2_curl_multi_number(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

typedef int (*omni2_curl_socket)(CURL *easy, int socket, int what, void *context, void *socketp);

static inline CURLMcode omni2_curl_on_socket(CURLM *multi, omni2_curl_socket call, void *context) {
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, context);
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, call);
}

typedef int (*omni2_curl_timer)(CURLM *multi, long milliseconds, void *context);

static inline CURLMcode omni2_curl_on_timer(CURLM *multi, omni2_curl_timer call, void *context) {
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, context);
    return curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, call);
}

/* The next finished transfer and its code; null when there is none. */
static inline CURL *omni2_curl_finished(CURLM *multi, CURLcode *code) {
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != 0;) {
        if (message->msg != CURLMSG_DONE) continue;
        *code = message->data.result;
        return message->easy_handle;
    }
    return 0;
}

#endif
