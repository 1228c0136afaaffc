/* OpenSSL's keys, built from their numbers. */
#ifndef AUTH_PKEY_H
#define AUTH_PKEY_H
#include <openssl/evp.h>
#include <openssl/param_build.h>

/*
 * A key of OpenSSL's type ("RSA", "EC") out of what build holds, which stays the caller's.  selection:
 * EVP_PKEY_PUBLIC_KEY or EVP_PKEY_KEYPAIR.  NULL when the numbers make no such key.
 */
EVP_PKEY *pkey_build(const char *type, OSSL_PARAM_BLD *build, int selection);

#endif
