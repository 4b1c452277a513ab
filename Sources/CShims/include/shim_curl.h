#ifndef OMNI2_SHIM_CURL_H
#define OMNI2_SHIM_CURL_H

#include <curl/curl.h>

#endif
