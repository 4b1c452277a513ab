#ifndef OMNI2_SHIM_OPENSSL_H
#define OMNI2_SHIM_OPENSSL_H

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

/* Keys from their numbers, as JSON web keys have them. OpenSSL 3 takes a list of parameters, which is
 * macros and unions that Swift cannot see. NULL: the numbers are no key. */

static inline EVP_PKEY *omni2_key_from(const char *type, OSSL_PARAM_BLD *builder) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (parameters == NULL || context == NULL || EVP_PKEY_fromdata_init(context) <= 0 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    ERR_clear_error();
    return key;
}

static inline EVP_PKEY *omni2_rsa_key(
    const unsigned char *n, int n_bytes, const unsigned char *e, int e_bytes) {
    EVP_PKEY *key = NULL;
    BIGNUM *modulus = BN_bin2bn(n, n_bytes, NULL), *exponent = BN_bin2bn(e, e_bytes, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (modulus && exponent && builder &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
        key = omni2_key_from("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

/* An uncompressed point of P-256: 04, 32 bytes of x, 32 of y. */
static inline EVP_PKEY *omni2_p256_key(const unsigned char *point) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 65))
        key = omni2_key_from("EC", builder);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

/* 1: the signature is the key's, over SHA-256 of the message. */
static inline int omni2_verify_sha256(
    EVP_PKEY *key, const unsigned char *message, size_t message_bytes,
    const unsigned char *signature, size_t signature_bytes) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int verdict = context != NULL &&
                  EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                  EVP_DigestVerify(
                      context, signature, signature_bytes, message, message_bytes) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return verdict;
}

/* JSON web signatures have r and s one after the other, OpenSSL wants them in DER: at most 72
 * bytes. Returns their number, 0 when it cannot be done. */
static inline int omni2_p256_signature(const unsigned char *both, unsigned char *der) {
    int bytes = 0;
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(both, 32, NULL), *s = BN_bin2bn(both + 32, 32, NULL);
    if (signature && r && s && ECDSA_SIG_set0(signature, r, s) == 1) {
        r = s = NULL;
        bytes = i2d_ECDSA_SIG(signature, &der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(signature);
    return bytes > 0 ? bytes : 0;
}

#endif
