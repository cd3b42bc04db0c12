/* A websocket server that sends back what it is sent, for tests: argv[1] is the port. One process
 * per connection; anything but an upgrade is answered with 200, for the health check. Text frames
 * below 126 bytes only. */
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static uint32_t rotate(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t h[5], const unsigned char *p)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                     : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                              : (b ^ c ^ d) + 0xca62c1d6;
        uint32_t t = rotate(a, 5) + f + e + w[i];
        e = d, d = c, c = rotate(b, 30), b = a, a = t;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

/* Of at most 119 bytes: a websocket's key and the constant have 60. */
static void sha1(const char *text, unsigned char digest[20])
{
    uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
    unsigned char data[128] = { 0 };
    size_t len = strlen(text), blocks = len < 56 ? 1 : 2;

    memcpy(data, text, len);
    data[len] = 0x80;
    data[64 * blocks - 1] = (unsigned char)(len * 8);
    data[64 * blocks - 2] = (unsigned char)(len * 8 >> 8);
    for (size_t i = 0; i < blocks; i++)
        sha1_block(h, data + 64 * i);
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const unsigned char in[20], char out[29])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (int i = 0, o = 0; i < 20; i += 3) {
        uint32_t three =
            (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | (i + 2 < 20 ? in[i + 2] : 0);
        for (int shift = 18; shift >= 0; shift -= 6)
            out[o++] = letters[three >> shift & 63];
    }
    out[27] = '=';
    out[28] = '\0';
}

/* 0 on success. */
static int read_all(int fd, unsigned char *data, size_t len)
{
    while (len) {
        ssize_t n = read(fd, data, len);
        if (n <= 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static void echo(int fd)
{
    unsigned char frame[2 + 4 + 125];

    while (read_all(fd, frame, 2) == 0) {
        size_t len = frame[1] & 127;
        if (len > 125 || !(frame[1] & 128) || read_all(fd, frame + 2, 4 + len))
            return;
        for (size_t i = 0; i < len; i++)
            frame[6 + i] ^= frame[2 + i % 4];
        memmove(frame + 2, frame + 6, len);
        if ((frame[0] & 15) == 9) /* a ping is answered with a pong */
            frame[0] = 0x8a;
        frame[1] = (unsigned char)len;
        if (write(fd, frame, 2 + len) != (ssize_t)(2 + len) || (frame[0] & 15) == 8)
            return;
    }
}

static void serve(int fd)
{
    char head[8192], key[120], accept[29];
    unsigned char digest[20];
    size_t len = 0;

    do {
        ssize_t n = read(fd, head + len, sizeof head - 1 - len);
        if (n <= 0)
            return;
        len += (size_t)n;
        head[len] = '\0';
    } while (!strstr(head, "\r\n\r\n"));
    const char *sent = strcasestr(head, "\r\nsec-websocket-key:");
    if (!sent || sscanf(sent + 20, " %40s", key) != 1) {
        dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n");
        return;
    }
    strcat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    sha1(key, digest);
    base64(digest, accept);
    dprintf(fd,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
            "Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
            accept);
    echo(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "8080")) };
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

    signal(SIGCHLD, SIG_IGN);
    signal(SIGTERM, _exit);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) {
        perror("listen");
        return 1;
    }
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        if (fork() == 0) {
            serve(fd);
            _exit(0);
        }
        close(fd);
    }
}
