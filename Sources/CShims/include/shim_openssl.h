#ifndef OMNI2_SHIM_OPENSSL_H
#define OMNI2_SHIM_OPENSSL_H

#include <openssl/evp.h>
#include <openssl/rand.h>

#endif
