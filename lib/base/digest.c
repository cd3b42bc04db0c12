#include "base/digest.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

struct sha256 {
    EVP_MD_CTX *ctx;
};

char *sha256_hex(const void *data, size_t len)
{
    unsigned char hash[SHA256_SIZE];

    if (EVP_Digest(data, len, hash, NULL, EVP_sha256(), NULL) != 1)
        abort();
    return text_hex(hash, sizeof hash);
}

struct sha256 *sha256_new(void)
{
    struct sha256 *sha = xcalloc(1, sizeof *sha);

    sha->ctx = EVP_MD_CTX_new();
    if (!sha->ctx || EVP_DigestInit_ex(sha->ctx, EVP_sha256(), NULL) != 1)
        abort();
    return sha;
}

void sha256_add(struct sha256 *sha, const void *data, size_t len)
{
    if (EVP_DigestUpdate(sha->ctx, data, len) != 1)
        abort();
}

char *sha256_end(struct sha256 *sha)
{
    unsigned char hash[SHA256_SIZE];

    if (EVP_DigestFinal_ex(sha->ctx, hash, NULL) != 1)
        abort();
    return text_hex(hash, sizeof hash);
}

void sha256_free(struct sha256 *sha)
{
    if (!sha)
        return;
    EVP_MD_CTX_free(sha->ctx);
    free(sha);
}

char *hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len)
{
    unsigned char hash[SHA256_SIZE];
    unsigned hash_len;

    if (key_len > INT_MAX || !HMAC(EVP_sha256(), key, (int)key_len, data, len, hash, &hash_len))
        abort();
    return text_hex(hash, sizeof hash);
}

bool secret_equal(const char *a, const char *b)
{
    size_t n = strlen(a);
    return n == strlen(b) && CRYPTO_memcmp(a, b, n) == 0;
}

void random_bytes(void *out, size_t len)
{
    if (len > INT_MAX || RAND_bytes(out, (int)len) != 1)
        abort();
}

char *secret_new(const char *prefix)
{
    unsigned char bytes[32];

    random_bytes(bytes, sizeof bytes);
    auto_wipe char *tail = text_base64url(bytes, sizeof bytes);
    explicit_bzero(bytes, sizeof bytes);
    return xasprintf("%s%s", prefix, tail);
}
