#ifndef OMNI2_SHIM_OPENSSL_H
#define OMNI2_SHIM_OPENSSL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <openssl/evp.h>

#endif
