#include "sha256.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static int finish(EVP_MD_CTX *ctx, const char *what, char hex[FW_SHA256_HEX], fw_err *e)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    if (!EVP_DigestFinal_ex(ctx, digest, &len) || len != 32)
        return fw_fail(e, FW_EFAIL, "digest '%s': OpenSSL refuses SHA-256", what);
    for (unsigned int i = 0; i < len; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return FW_OK;
}

static int start(EVP_MD_CTX **ctx, const char *what, fw_err *e)
{
    *ctx = EVP_MD_CTX_new();
    if (*ctx && EVP_DigestInit_ex(*ctx, EVP_sha256(), NULL)) return FW_OK;
    EVP_MD_CTX_free(*ctx);
    *ctx = NULL;
    return fw_fail(e, FW_EFAIL, "digest '%s': OpenSSL refuses SHA-256", what);
}

static int feed(EVP_MD_CTX *ctx, FILE *f, const char *path, fw_err *e)
{
    enum { CHUNK = 1 << 20 };
    unsigned char *buf = fw_alloc(CHUNK, 1);
    int rc = FW_OK;
    size_t n;
    while (!rc && (n = fread(buf, 1, CHUNK, f)) > 0)
        if (!EVP_DigestUpdate(ctx, buf, n)) rc = fw_fail(e, FW_EFAIL, "digest '%s': OpenSSL refuses", path);
    if (!rc && ferror(f)) rc = fw_fail_errno(e, "read '%s'", path);
    fw_free(buf);
    return rc;
}

int fw_sha256_file(const char *path, char hex[FW_SHA256_HEX], fw_err *e)
{
    FILE *f = fopen(path, "rbe");
    if (!f) return fw_fail_errno(e, "open '%s'", path);
    EVP_MD_CTX *ctx;
    int rc = start(&ctx, path, e);
    if (!rc) rc = feed(ctx, f, path, e);
    if (!rc) rc = finish(ctx, path, hex, e);
    EVP_MD_CTX_free(ctx);
    fclose(f);
    return rc;
}

int fw_sha256_bytes(const void *bytes, size_t n, char hex[FW_SHA256_HEX], fw_err *e)
{
    EVP_MD_CTX *ctx;
    int rc = start(&ctx, "bytes", e);
    if (!rc && !EVP_DigestUpdate(ctx, bytes, n)) rc = fw_fail(e, FW_EFAIL, "digest bytes: OpenSSL refuses");
    if (!rc) rc = finish(ctx, "bytes", hex, e);
    EVP_MD_CTX_free(ctx);
    return rc;
}
