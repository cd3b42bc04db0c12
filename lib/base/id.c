#include "base/id.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; /* Crockford's base32 */

static struct {
    pthread_mutex_t lock; /* guards: */
    int64_t ms;
    unsigned char tail[10];
} last = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The 80 random bits, plus one. */
static void increment(unsigned char tail[10])
{
    for (int i = 9; i >= 0 && ++tail[i] == 0; i--)
        ;
}

char *id_new(const struct clock *clock)
{
    int64_t now = clock_now_ms(clock);
    unsigned char bytes[16];
    char *id = xcalloc(ID_LEN + 1, 1);

    pthread_mutex_lock(&last.lock);
    if (now > last.ms) {
        last.ms = now;
        random_bytes(last.tail, sizeof last.tail);
        last.tail[0] &= 0x7f; /* room to count up */
    } else {
        increment(last.tail);
    }
    for (int i = 0; i < 6; i++)
        bytes[i] = (unsigned char)(last.ms >> (40 - 8 * i));
    memcpy(bytes + 6, last.tail, sizeof last.tail);
    pthread_mutex_unlock(&last.lock);

    /* 128 bits as 26 digits of 5: two zero bits come first */
    for (int i = 0; i < ID_LEN; i++) {
        unsigned digit = 0;
        for (int b = 5 * i - 2; b < 5 * i + 3; b++)
            digit = digit << 1 | (b < 0 ? 0 : bytes[b / 8] >> (7 - b % 8) & 1u);
        id[i] = alphabet[digit];
    }
    return id;
}

bool id_is_valid(const char *text)
{
    return strlen(text) == ID_LEN && strspn(text, alphabet) == ID_LEN && text[0] <= '7';
}
