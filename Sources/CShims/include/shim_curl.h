#ifndef OMNI2_SHIM_CURL_H
#define OMNI2_SHIM_CURL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <curl/curl.h>

#endif
