/* tar, zip: images inside archives (lib/archive.h), read in place. Key: the member's path; with a pattern of several
 * archives, ARCHIVE/MEMBER, the archive's path relative to the folder in front of the pattern's first wildcard.
 *
 * Labels, as WebDataset stores them: members that follow each other and share their path up to the first dot of the
 * last part are one sample; KEY.json (its field ingest.tar_field) or else KEY.cls labels its images. Without either the
 * label is the member's folder, as in an archive of identity folders.
 *
 * Random access. In a plain tar or a zip a member is read where it lies. In a compressed tar reading goes forward
 * (lib/sequence.h): reading in the order of the walk is one pass, as ingest and the stages do; other orders rewind.
 * The index of places is filled by the walk, or by a pass over the headers when a key comes first. 24 bytes a member.
 * Two members with one path (a tar that was appended to): the first counts, the other is passed over. So would be one
 * of two paths with the same 64-bit hash; with ten million members the odds of that are 3 in a million.
 */
#include "archive.h"
#include "file.h"
#include "hash.h"
#include "sequence.h"
#include "source_impl.h"

#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define LABEL_MAX  ((size_t)1 << 20)  /* bytes of a .cls or .json */
#define GROUP_MAX  4096               /* images of one sample: more are a folder of names with dots, not a sample */
#define TAPES      4                  /* compressed archives held open: workers straddle two at most */
#define READERS    32                 /* archives held open for single members, or as many threads */
#define HELD_MAX   ((size_t)16 << 20) /* bytes that the walk keeps of one sample */
#define MEMBER_MAX ((size_t)1 << 30)  /* bytes of one member of a compressed archive */

typedef struct pack {
    char *path;
    const char *name; /* within path: how keys begin */
    int64_t mtime;
    bool compressed, indexed;
    fw_sequence *tape;
    uint64_t used; /* clock of its tape */
} pack;

/* Where a member lies. */
typedef struct place {
    uint64_t hash;  /* of the key */
    uint64_t where; /* offset; in a compressed archive its number */
    uint32_t pack;  /* + 1; 0: empty slot */
    uint32_t bytes; /* UINT32_MAX: that or more */
} place;

typedef struct image {
    char *key;
    uint64_t bytes;
    int64_t mtime;
    size_t folder; /* length of the key's folder inside the archive */
    size_t skip;   /* bytes of the key in front of it */
    char *data;    /* what the walk read along, NULL: nothing */
    size_t n;
} image;

typedef struct sample {
    char *base; /* what its members share; NULL: none begun */
    fw_buf label;
    int rank; /* of the label: 0 none, 1 .cls, 2 .json */
    image *image;
    size_t n, cap, at;
    size_t held; /* bytes of data */
} sample;

/* An open archive that waits for the next member to be read. */
typedef struct reader {
    fw_archive *f;
    uint32_t pack;
} reader;

typedef struct archives {
    fw_archive_kind kind;
    bool many; /* keys begin with the archive's name */
    pack *pack;
    size_t packs;
    pthread_mutex_t lock; /* of the table, of indexed, tape and idle */
    place *table;
    size_t slots, places;
    uint64_t clock;
    reader idle[READERS];
    size_t idle_next;
    /* the walk */
    size_t at;
    fw_archive *walk;
    uint64_t number; /* of the member */
    sample now, ready;
} archives;

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* "./a/b.jpg" and "a/b.jpg" are the same member. */
static const char *plain_name(const char *path)
{
    while (path[0] == '.' && path[1] == '/') path += 2;
    return path;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_image(const fw_member *m)
{
    const char *path = plain_name(m->path), *name = last_part(path);
    return m->file && name[0] != '.' && strncmp(path, "__MACOSX/", 9) && fw_image_name(name);
}

static char *key_of(const archives *a, size_t in, const char *path)
{
    return a->many ? fw_format("%s/%s", a->pack[in].name, plain_name(path)) : fw_strdup(plain_name(path));
}

/* ---- the index ----------------------------------------------------------------------------------------------------
 */

static place *slot_of(place *table, size_t slots, uint64_t hash)
{
    size_t i = hash & (slots - 1);
    while (table[i].pack && table[i].hash != hash) i = (i + 1) & (slots - 1);
    return &table[i];
}

static void grow(archives *a)
{
    size_t slots = a->slots ? 2 * a->slots : 1024;
    place *table = FW_ARRAY(place, slots);
    for (size_t i = 0; i < a->slots; i++)
        if (a->table[i].pack) *slot_of(table, slots, a->table[i].hash) = a->table[i];
    fw_free(a->table);
    a->table = table;
    a->slots = slots;
}

/* False: another member has this key already. The lock is held. */
static bool note_place(archives *a, size_t in, const char *key, const fw_member *m, uint64_t number)
{
    uint64_t hash = fw_hash_bytes(key, strlen(key)).lo, where = a->pack[in].compressed ? number : m->offset;
    if (3 * (a->places + 1) > 2 * a->slots) grow(a);
    place *p = slot_of(a->table, a->slots, hash);
    if (p->pack) return p->pack == in + 1 && p->where == where; /* an earlier pass over the headers put it here */
    *p = (place){hash, where, (uint32_t)in + 1, m->bytes < UINT32_MAX ? (uint32_t)m->bytes : UINT32_MAX};
    a->places++;
    return true;
}

/* A pass over the headers of one archive. The lock is held. */
static int index_pack(archives *a, size_t i, fw_err *e)
{
    fw_archive *f = fw_archive_open(a->pack[i].path, a->kind, 0, e);
    fw_member m;
    int got = f ? 1 : -1;
    for (uint64_t number = 0; got > 0 && (got = fw_archive_next(f, &m, e)) > 0; number++) {
        a->pack[i].compressed = fw_archive_compressed(f);
        if (!is_image(&m)) continue;
        char *key = key_of(a, i, m.path);
        note_place(a, i, key, &m, number);
        fw_free(key);
        if (fw_check_stop(e)) got = -1;
    }
    fw_archive_close(f);
    a->pack[i].indexed = true; /* also when damaged: what lies behind is not found, and nobody looks again */
    return got < 0 ? e->code : FW_OK;
}

static bool key_in_pack(const archives *a, size_t i, const char *key)
{
    size_t n = strlen(a->pack[i].name);
    return !a->many || (!strncmp(key, a->pack[i].name, n) && key[n] == '/');
}

static int find_place(const fw_source *s, const char *key, place *out, fw_err *e)
{
    archives *a = s->state;
    uint64_t hash = fw_hash_bytes(key, strlen(key)).lo;
    fw_err why = {0};
    pthread_mutex_lock(&a->lock);
    *out = a->slots ? *slot_of(a->table, a->slots, hash) : (place){0};
    for (size_t i = 0; !out->pack && i < a->packs; i++) {
        if (a->pack[i].indexed || !key_in_pack(a, i, key)) continue;
        index_pack(a, i, &why);
        *out = a->slots ? *slot_of(a->table, a->slots, hash) : (place){0};
    }
    pthread_mutex_unlock(&a->lock);
    if (out->pack) return FW_OK;
    return why.code ? fw_fail(e, why.code, "%s", why.msg) : fw_no_record(s, key, e);
}

/* ---- opening ------------------------------------------------------------------------------------------------------
 */

static int by_bytes(const void *x, const void *y)
{
    return strcmp(((const pack *)x)->path, ((const pack *)y)->path);
}

static int stat_packs(archives *a, fw_err *e)
{
    for (size_t i = 0; i < a->packs; i++) {
        struct stat st;
        if (stat(a->pack[i].path, &st)) return fw_fail_errno(e, "stat '%s'", a->pack[i].path);
        if (!S_ISREG(st.st_mode)) return fw_fail(e, FW_EUSAGE, "open archive '%s': not a file", a->pack[i].path);
        a->pack[i].mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    }
    return FW_OK;
}

static int open_pattern(fw_source *s, const char *path, fw_err *e)
{
    archives *a = s->state;
    const char *scheme = s->format->scheme, *wild = strpbrk(path, "*?[");
    size_t folder = (size_t)(wild - path);
    while (folder && path[folder - 1] != '/') folder--;
    char *text = folder ? fw_format("%.*s", (int)folder, path) : fw_strdup("."), *real = realpath(text, NULL);
    fw_free(text);
    if (!real) return fw_fail(e, FW_EUSAGE, "open source '%s:%s': %s", scheme, path, strerror(errno));
    s->spec = fw_format("%s:%s/%s", scheme, strcmp(real, "/") ? real : "", path + folder);
    size_t base = strlen(s->spec) - strlen(path + folder) - strlen(scheme) - 1;
    free(real);
    glob_t found;
    if (glob(strchr(s->spec, ':') + 1, GLOB_NOSORT | GLOB_ERR, NULL, &found))
        return fw_fail(e, FW_EUSAGE, "open source '%s': no file has such a name", s->spec);
    a->many = true;
    a->pack = FW_ARRAY(pack, found.gl_pathc);
    for (; a->packs < found.gl_pathc; a->packs++) a->pack[a->packs].path = fw_strdup(found.gl_pathv[a->packs]);
    globfree(&found);
    qsort(a->pack, a->packs, sizeof *a->pack, by_bytes);
    for (size_t i = 0; i < a->packs; i++) a->pack[i].name = a->pack[i].path + base;
    return stat_packs(a, e);
}

static int open_archives(fw_source *s, const char *path, fw_archive_kind kind, fw_err *e)
{
    archives *a = s->state = FW_NEW(archives);
    pthread_mutex_init(&a->lock, NULL);
    a->kind = kind;
    fw_buf_puts(&a->now.label, "");
    fw_buf_puts(&a->ready.label, "");
    if (strpbrk(path, "*?[") && !fw_exists(path)) return open_pattern(s, path, e);
    char *real = fw_source_file_path(s->format->scheme, path, e);
    if (!real) return e->code;
    s->spec = fw_format("%s:%s", s->format->scheme, real);
    a->pack = FW_NEW(pack);
    a->packs = 1;
    a->pack->path = fw_strdup(real);
    a->pack->name = last_part(a->pack->path);
    free(real);
    return stat_packs(a, e);
}

static int open_tar(fw_source *s, const char *path, fw_err *e)
{
    return open_archives(s, path, FW_ARCHIVE_TAR, e);
}

static int open_zip(fw_source *s, const char *path, fw_err *e)
{
    return open_archives(s, path, FW_ARCHIVE_ZIP, e);
}

static void empty_sample(sample *p)
{
    for (size_t i = 0; i < p->n; i++) {
        fw_free(p->image[i].key);
        free(p->image[i].data);
    }
    fw_free(p->base);
    p->base = NULL;
    p->n = p->at = p->held = 0;
    p->rank = 0;
    p->label.len = 0;
    fw_buf_puts(&p->label, "");
}

static void close_archives(fw_source *s)
{
    archives *a = s->state;
    if (!a) return;
    for (size_t i = 0; i < a->packs; i++) {
        fw_sequence_free(a->pack[i].tape);
        fw_free(a->pack[i].path);
    }
    fw_archive_close(a->walk);
    for (size_t i = 0; i < READERS; i++) fw_archive_close(a->idle[i].f);
    sample *both[] = {&a->now, &a->ready};
    for (size_t i = 0; i < 2; i++) {
        empty_sample(both[i]);
        fw_buf_free(&both[i]->label);
        fw_free(both[i]->image);
    }
    pthread_mutex_destroy(&a->lock);
    fw_free(a->table);
    fw_free(a->pack);
    fw_free(a);
}

/* ---- the walk ------------------------------------------------------------------------------------------------------
 */

static bool put_json_label(const char *text, size_t n, const char *field, fw_buf *out)
{
    json_t *root = json_loadb(text, n, JSON_ALLOW_NUL, NULL), *v = root;
    while (v && *field) { /* "a.b": field b of field a */
        size_t len = strcspn(field, ".");
        char *name = fw_format("%.*s", (int)len, field);
        v = json_object_get(v, name);
        fw_free(name);
        field += len + (field[len] == '.');
    }
    bool text_label = json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
    if (text_label)
        fw_buf_puts(out, json_string_value(v));
    else if (json_is_integer(v))
        fw_buf_printf(out, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        fw_buf_printf(out, "%.9g", json_real_value(v));
    bool got = text_label || json_is_number(v);
    json_decref(root);
    return got;
}

static void put_class(const char *text, size_t n, fw_buf *out)
{
    static const char blank[] = " \t\r\n";
    while (n && memchr(blank, text[n - 1], sizeof blank)) n--; /* NULs too */
    while (n && memchr(blank, *text, sizeof blank)) text++, n--;
    fw_buf_add(out, text, strnlen(text, n));
}

/* KEY.cls or KEY.json: read it for the sample's label. */
static int take_label(fw_source *s, const char *end, fw_err *e)
{
    archives *a = s->state;
    sample *now = &a->now;
    int rank = !strcasecmp(end, ".json") ? 2 : 1;
    char *text;
    size_t n;
    FW_TRY(fw_archive_read(a->walk, LABEL_MAX, &text, &n, e));
    fw_buf label = {0};
    fw_buf_puts(&label, "");
    bool got = true;
    if (rank == 2)
        got = put_json_label(text, n, s->opts.tar_field ? s->opts.tar_field : "label", &label);
    else
        put_class(text, n, &label);
    if (got && rank > now->rank) {
        now->rank = rank;
        now->label.len = 0;
        fw_buf_puts(&now->label, label.data);
    }
    fw_buf_free(&label);
    free(text);
    return FW_OK;
}

static void take_image(fw_source *s, const fw_member *m)
{
    archives *a = s->state;
    sample *now = &a->now;
    char *key = key_of(a, a->at, m->path);
    pthread_mutex_lock(&a->lock);
    a->pack[a->at].compressed = fw_archive_compressed(a->walk);
    bool fresh = note_place(a, a->at, key, m, a->number);
    pthread_mutex_unlock(&a->lock);
    if (!fresh) {
        s->skipped_files++;
        fw_free(key);
        return;
    }
    const char *member = plain_name(m->path), *name = last_part(member);
    fw_reserve(&now->image, &now->cap, now->n + 1, sizeof *now->image);
    image *im = &now->image[now->n++];
    *im = (image){key,
                  m->bytes,
                  a->pack[a->at].mtime,
                  name > member ? (size_t)(name - member) - 1 : 0,
                  strlen(key) - strlen(member),
                  NULL,
                  0};
    /* zip: its members are compressed one by one, so the caller's threads unpack them; and where one is cut off, to
     * have tried would end the walk, which steps over it */
    if (!s->along || a->kind == FW_ARCHIVE_ZIP || m->bytes > FW_ALONG_MAX || now->held > HELD_MAX) return;
    if (!fw_archive_read(a->walk, FW_ALONG_MAX, &im->data, &im->n, NULL)) now->held += im->n;
}

/* Length of what the members of a sample share: up to the first dot of the last part. */
static size_t base_length(const char *path)
{
    const char *name = last_part(path);
    return (size_t)(name - path) + strcspn(name, ".");
}

static void finish_sample(archives *a)
{
    sample was = a->ready;
    empty_sample(&was);
    a->ready = a->now;
    a->now = was;
}

static int take_member(fw_source *s, const fw_member *m, fw_err *e)
{
    archives *a = s->state;
    const char *path = plain_name(m->path), *end;
    size_t n = base_length(path);
    if (!m->file) return FW_OK;
    if (a->now.base && (a->now.n >= GROUP_MAX || strncmp(a->now.base, path, n) || a->now.base[n])) finish_sample(a);
    if (!a->now.base) a->now.base = fw_format("%.*s", (int)n, path);
    end = path + n;
    if (is_image(m))
        take_image(s, m);
    else if (!strcasecmp(end, ".cls") || !strcasecmp(end, ".json"))
        return take_label(s, end, e);
    else if (last_part(path)[0] != '.')
        s->skipped_files++;
    return FW_OK;
}

static int next_archive(archives *a)
{
    fw_archive_close(a->walk);
    a->walk = NULL;
    pthread_mutex_lock(&a->lock);
    a->pack[a->at].indexed = true;
    pthread_mutex_unlock(&a->lock);
    a->at++;
    a->number = 0;
    finish_sample(a);
    return FW_OK;
}

/* Members until a sample is ready. 1, 0: no more, -1. */
static int fill_sample(fw_source *s, fw_err *e)
{
    archives *a = s->state;
    fw_member m;
    while (a->ready.at == a->ready.n) {
        if (a->at == a->packs) return 0;
        if (!a->walk && !(a->walk = fw_archive_open(a->pack[a->at].path, a->kind, 0, e))) return -1;
        int got = fw_archive_next(a->walk, &m, e);
        if (got < 0) return -1;
        if (!got)
            next_archive(a);
        else if (take_member(s, &m, e))
            return -1;
        else
            a->number++;
        if (fw_check_stop(e)) return -1;
    }
    return 1;
}

static int next_image(fw_source *s, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    archives *a = s->state;
    int got = fill_sample(s, e);
    if (got <= 0) return got;
    const image *im = &a->ready.image[a->ready.at++];
    fw_buf_puts(&s->key, im->key);
    if (a->ready.rank)
        fw_buf_puts(&s->label, a->ready.label.data);
    else
        fw_buf_add(&s->label, im->key + im->skip, im->folder);
    *bytes = im->bytes;
    *mtime = im->mtime;
    return 1;
}

static bool take_read(fw_source *s, char **bytes, size_t *n)
{
    archives *a = s->state;
    image *im = a->ready.at ? &a->ready.image[a->ready.at - 1] : NULL;
    if (!im || !im->data) return false;
    *bytes = im->data;
    *n = im->n;
    im->data = NULL;
    return true;
}

/* ---- reading -------------------------------------------------------------------------------------------------------
 */

/* The archive of a place, open there. */
static fw_archive *reader_at(archives *a, const place *p, fw_err *e)
{
    fw_archive *f = NULL;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < READERS && !f; i++)
        if (a->idle[i].f && a->idle[i].pack == p->pack) f = a->idle[i].f, a->idle[i].f = NULL;
    pthread_mutex_unlock(&a->lock);
    if (!f) return fw_archive_open(a->pack[p->pack - 1].path, a->kind, p->where, e);
    /* a header of a kilobyte: more is rare, and then read all the same */
    if (!fw_archive_restart(f, p->where, p->bytes ? (uint64_t)p->bytes + 1024 : 0, e)) return f;
    fw_archive_close(f);
    return NULL;
}

static void put_back(archives *a, const place *p, fw_archive *f)
{
    fw_archive *old = f;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < READERS && old; i++)
        if (!a->idle[i].f) a->idle[i] = (reader){f, p->pack}, old = NULL;
    if (old) {
        reader *r = &a->idle[a->idle_next++ % READERS];
        old = r->f;
        *r = (reader){f, p->pack};
    }
    pthread_mutex_unlock(&a->lock);
    fw_archive_close(old);
}

static int read_plain(archives *a, const place *p, const char *key, size_t max, char **bytes, size_t *n, fw_err *e)
{
    const pack *pk = &a->pack[p->pack - 1];
    fw_archive *f = reader_at(a, p, e);
    fw_member m;
    int got = f ? fw_archive_next(f, &m, e) : -1, rc = got < 0 ? e->code : FW_OK;
    char *have = got > 0 ? key_of(a, p->pack - 1, m.path) : NULL;
    if (!rc && (!have || strcmp(have, key)))
        rc = fw_fail(e, FW_EFAIL, "read '%s': the member at offset %llu is not '%s' any more", pk->path,
                     (unsigned long long)p->where, key);
    if (!rc) rc = fw_archive_read(f, max, bytes, n, e);
    fw_free(have);
    if (f) put_back(a, p, f);
    return rc;
}

typedef struct tape {
    char *path;
    fw_archive_kind kind;
    fw_archive *f;
} tape;

static int rewind_tape(void *user, fw_err *e)
{
    tape *t = user;
    fw_archive_close(t->f);
    t->f = fw_archive_open(t->path, t->kind, 0, e);
    return t->f ? FW_OK : e->code;
}

static int step_tape(void *user, bool want, char **bytes, size_t *n, fw_err *bad, fw_err *e)
{
    tape *t = user;
    fw_member m;
    int got = fw_archive_next(t->f, &m, e);
    if (got > 0 && want && is_image(&m)) (void)fw_archive_read(t->f, MEMBER_MAX, bytes, n, bad);
    return got;
}

static void close_tape(void *user)
{
    tape *t = user;
    fw_archive_close(t->f);
    fw_free(t->path);
    fw_free(t);
}

/* The tape of a compressed archive. The lock is held while it is used: they take turns anyway. */
static fw_sequence *tape_of(archives *a, pack *pk)
{
    pack *oldest = NULL;
    size_t open = 0;
    for (size_t i = 0; i < a->packs; i++) {
        if (!a->pack[i].tape || &a->pack[i] == pk) continue;
        open++;
        if (!oldest || a->pack[i].used < oldest->used) oldest = &a->pack[i];
    }
    if (!pk->tape && open >= TAPES) {
        fw_sequence_free(oldest->tape);
        oldest->tape = NULL;
    }
    pk->used = ++a->clock;
    if (pk->tape) return pk->tape;
    tape *t = FW_NEW(tape);
    t->path = fw_strdup(pk->path);
    t->kind = a->kind;
    return pk->tape = fw_sequence_new(&(fw_sequence_ops){rewind_tape, step_tape, close_tape}, t);
}

static bool is_compressed(archives *a, const place *p)
{
    pthread_mutex_lock(&a->lock);
    bool yes = a->pack[p->pack - 1].compressed;
    pthread_mutex_unlock(&a->lock);
    return yes;
}

static int read_member(const fw_source *s, const char *key, size_t max, char **bytes, size_t *n, fw_err *e)
{
    archives *a = s->state;
    place p;
    fw_err why = {0};
    int rc = find_place(s, key, &p, &why);
    if (!rc && !is_compressed(a, &p))
        rc = read_plain(a, &p, key, max, bytes, n, &why);
    else if (!rc) {
        pthread_mutex_lock(&a->lock);
        rc = fw_sequence_read(tape_of(a, &a->pack[p.pack - 1]), p.where, max, bytes, n, &why);
        pthread_mutex_unlock(&a->lock);
    }
    return rc ? fw_fail(e, rc, "%s", why.msg) : FW_OK;
}

static int find_member(const fw_source *s, const char *key, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    archives *a = s->state;
    place p;
    FW_TRY(find_place(s, key, &p, e));
    *bytes = p.bytes;
    *mtime = a->pack[p.pack - 1].mtime;
    return FW_OK;
}

static char *locate_member(const fw_source *s, const char *key)
{
    const archives *a = s->state;
    if (a->many) return fw_locate_inside(s->spec, key);
    return fw_locate_inside(a->pack[0].path, key);
}

const fw_scheme fw_scheme_tar = {.scheme = "tar",
                                 .open = open_tar,
                                 .next = next_image,
                                 .find = find_member,
                                 .read = read_member,
                                 .locate = locate_member,
                                 .close = close_archives,
                                 .take = take_read};
const fw_scheme fw_scheme_zip = {.scheme = "zip",
                                 .open = open_zip,
                                 .next = next_image,
                                 .find = find_member,
                                 .read = read_member,
                                 .locate = locate_member,
                                 .close = close_archives,
                                 .take = take_read};
