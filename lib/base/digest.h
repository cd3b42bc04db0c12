/* Hashes, signatures, random bytes; OpenSSL underneath. All abort when OpenSSL itself fails. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

enum { SHA256_SIZE = 32 };

/* Lower-case hex of the SHA-256 of bytes; the caller's to free. */
char *sha256_hex(const void *data, size_t len);

/* The same over pieces. */
struct sha256;
struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *sha, const void *data, size_t len);
char *sha256_end(struct sha256 *sha); /* hex; `sha` may only be freed after */
void sha256_free(struct sha256 *sha);

/* Lower-case hex of HMAC-SHA256. */
char *hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len);

/* Takes the same time wherever the texts differ. Lengths are not secret. */
bool secret_equal(const char *a, const char *b);

void random_bytes(void *out, size_t len);

/* A new secret: `prefix` and 256 random bits in base64url. */
char *secret_new(const char *prefix);

static inline void sha256_freep(struct sha256 **sha)
{
    sha256_free(*sha);
}
#define auto_sha256 __attribute__((__cleanup__(sha256_freep))) struct sha256

#endif
