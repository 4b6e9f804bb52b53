/* hash.c -- SHA-256 through libcrypto: hashes that users can check with sha256sum. */
#include "base/base.h"

#include <openssl/evp.h>
#include <stdio.h>

struct ml_sha256 { EVP_MD_CTX *ctx; };

int ml_sha256_new(ml_sha256 **out) {
  ml_sha256 *h = ml_alloc0(sizeof *h);
  if (!h) return ML_ENOMEM;
  h->ctx = EVP_MD_CTX_new();
  if (!h->ctx || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1) {
    ml_sha256_free(h);
    return ml_fail(ML_ENOMEM, "sha256: out of memory");
  }
  *out = h;
  return ML_OK;
}

int ml_sha256_add(ml_sha256 *h, const void *p, size_t n) {
  if (EVP_DigestUpdate(h->ctx, p, n) == 1) return ML_OK;
  return ml_fail(ML_ENOMEM, "sha256: libcrypto failed");
}

int ml_sha256_hex(ml_sha256 *h, char hex[65]) {
  unsigned char d[32];
  int fine = EVP_DigestFinal_ex(h->ctx, d, NULL);
  ml_sha256_free(h);
  if (fine != 1) return ml_fail(ML_ENOMEM, "sha256: libcrypto failed");
  for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", d[i]);
  return ML_OK;
}

void ml_sha256_free(ml_sha256 *h) {
  if (!h) return;
  EVP_MD_CTX_free(h->ctx);
  ml_free(h);
}
