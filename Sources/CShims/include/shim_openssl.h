#ifndef OMNI2_SHIM_OPENSSL_H
#define OMNI2_SHIM_OPENSSL_H

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#endif
