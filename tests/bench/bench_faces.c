/* Steps over photos: decode, detect, embed. Each thread takes the next photo, as the program's own workers do. */
#include "bench.h"

#include "index/vectors.h"
#include "lib/detector.h"
#include "lib/embedder.h"
#include "lib/fastnet.h"
#include "lib/file.h"
#include "lib/frame.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 512, SIDE = 112, CROP = SIDE * SIDE * 3 };

/* A network of each kind with a worker per thread; opened when a step first needs it. */
typedef struct faces {
    char **path;
    size_t n;
    fw_runtime *runtime;
    int threads;
    fw_detector_worker **detect;
    fw_embedder_worker **own, **published, **bf16;
    fw_frame frame;
    uint8_t *crop; /* n x CROP */
} faces;

static faces *need_photos(bench *b)
{
    if (b->faces) return b->faces;
    faces *f = b->faces = FW_NEW(faces);
    FILE *list = b->photos ? fopen(b->photos, "r") : NULL;
    char line[4096];
    while (list && fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = 0;
        f->path = fw_realloc(f->path, f->n + 1, sizeof *f->path);
        f->path[f->n++] = fw_strdup(line);
    }
    if (list) fclose(list);
    f->threads = omp_get_max_threads();
    fw_err e = {0};
    bench_must(fw_runtime_open(&f->runtime, &e), &e);
    return f;
}

static fw_modeldesc *read_desc(const bench *b, const char *name, const char *folder)
{
    fw_err e = {0};
    fw_modeldesc *d;
    char ini[4096];
    snprintf(ini, sizeof ini, "%s/%s.ini", b->conf, name);
    bench_must(fw_modeldesc_read(ini, b->models, &d, &e), &e);
    if (folder) { /* the same network as it was published */
        fw_free(d->file);
        snprintf(ini, sizeof ini, "%s/%s.onnx", folder, name);
        d->file = fw_strdup(ini);
        memcpy(d->sha256, d->source_sha256, sizeof d->sha256);
    }
    return d;
}

static fw_embedder_worker **open_embedder(bench *b, const char *folder, const char *precision)
{
    fw_err e = {0};
    fw_embedder *m;
    faces *f = need_photos(b);
    fw_modeldesc *d = read_desc(b, "mobilefacenet", folder);
    fw_embedder_opts opts = {.bf16 = !strcmp(precision, "bf16")};
    bench_must(fw_frame_of(d, &f->frame, &e), &e);
    bench_must(fw_embedder_open(f->runtime, d, &opts, &m, &e), &e);
    fw_embedder_worker **w = fw_alloc((size_t)f->threads, sizeof *w);
    for (int i = 0; i < f->threads; i++) bench_must(fw_embedder_worker_open(m, &w[i], &e), &e);
    fw_modeldesc_free(d);
    return w;
}

static faces *need_networks(bench *b)
{
    faces *f = need_photos(b);
    if (f->detect) return f;
    fw_err e = {0};
    fw_detector *detector;
    fw_modeldesc *d = read_desc(b, "retinaface_mnet025", NULL);
    bench_must(fw_detector_open(f->runtime, d, NULL, &detector, &e), &e);
    fw_modeldesc_free(d);
    f->detect = fw_alloc((size_t)f->threads, sizeof *f->detect);
    for (int i = 0; i < f->threads; i++) bench_must(fw_detector_worker_open(detector, &f->detect[i], &e), &e);
    f->own = open_embedder(b, NULL, "fp32");
    f->published = open_embedder(b, b->published, "fp32");
    if (fw_fastnet_supported(true)) f->bf16 = open_embedder(b, NULL, "bf16"); /* the driver asks where it is */
    return f;
}

typedef struct scratch {
    fw_image image;
    uint8_t crop[CROP];
} scratch;

static bool decode(const faces *f, size_t i, scratch *s)
{
    fw_err e = {0};
    char why[FW_IMG_WHY];
    char *bytes;
    size_t n;
    bench_must(fw_file_read(f->path[i], (size_t)1 << 28, &bytes, &n, &e), &e);
    bool good = fw_image_decode(bytes, n, NULL, &s->image, why) == FW_IMG_OK;
    fw_free(bytes);
    return good;
}

/* The target face's crop of photo i; the whole photo where there is none. */
static bool crop_face(const faces *f, size_t i, scratch *s)
{
    fw_err e = {0};
    fw_face face[16];
    int n;
    float m[6];
    if (!decode(f, i, s)) return false;
    const int32_t size[2] = {s->image.width, s->image.height};
    bench_must(fw_detect(f->detect[omp_get_thread_num()], &s->image, face, 16, &n, NULL, &e), &e);
    int t = fw_target_face(face, n, size[0], size[1]);
    if (t < 0 || fw_frame_face(&f->frame, size, face[t].box, face[t].landmark, m) == FW_FIT_DEGENERATE)
        fw_frame_whole(&f->frame, size, 0, m);
    const fw_affine a = {{m[0], m[1], m[2], m[3], m[4], m[5]}};
    fw_warp(&s->image, &a, SIDE, SIDE, s->crop);
    return true;
}

static void embed(fw_embedder_worker **w, const uint8_t *crop, float *out)
{
    fw_err e = {0};
    uint8_t ok;
    bench_must(fw_embed(w[omp_get_thread_num()], crop, 1, out, &ok, &e), &e);
}

/* Visit all photos on all threads: 'd'ecode only, 'c'rop and keep, or the whole 'l'oop. */
static void visit(bench *b, char what, fw_embedder_worker **w)
{
    faces *f = b->faces;
    if (what == 'c') f->crop = fw_alloc(f->n, CROP);
    bench_start(b);
#pragma omp parallel
    {
        scratch *s = FW_NEW(scratch);
        float out[DIM];
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < f->n; i++) {
            bool good = what == 'd' ? decode(f, i, s) : crop_face(f, i, s);
            if (good && what == 'c') memcpy(f->crop + i * CROP, s->crop, CROP);
            if (good && what == 'l') embed(w, s->crop, out);
        }
        fw_image_free(&s->image);
        fw_free(s);
    }
    bench_stop(b);
    bench_field("items", (double)f->n);
}

static void need_crops(bench *b)
{
    if (need_networks(b)->crop) return;
    bench untimed = *b;
    visit(&untimed, 'c', NULL);
}

/* Embed all crops; out: n x DIM. */
static void embed_all(bench *b, fw_embedder_worker **w, float *out)
{
    faces *f = b->faces;
    bench_start(b);
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t i = 0; i < f->n; i++) embed(w, f->crop + i * CROP, out + i * DIM);
    bench_stop(b);
}

static void step_decode(bench *b)
{
    need_photos(b);
    visit(b, 'd', NULL);
}

static void step_loop(bench *b)
{
    visit(b, 'l', need_networks(b)->own);
}

static void step_loop_bf16(bench *b)
{
    visit(b, 'l', need_networks(b)->bf16);
}

/* Time of one of the networks, and its least cosine to the published one. */
static void step_embed(bench *b, char which)
{
    need_crops(b);
    faces *f = b->faces;
    float *out = fw_alloc(f->n * DIM, sizeof *out), *ref = fw_alloc(f->n * DIM, sizeof *ref);
    bench untimed = *b;
    embed_all(b, which == 'o' ? f->own : which == 'b' ? f->bf16 : f->published, out);
    if (which != 'p') {
        double least = 1;
        embed_all(&untimed, f->published, ref);
        for (size_t i = 0; i < f->n; i++) least = fmin(least, (double)fw_dot(out + i * DIM, ref + i * DIM, DIM));
        bench_field("cosine", least);
    }
    bench_field("items", (double)f->n);
    fw_free(out), fw_free(ref);
}

static void step_own(bench *b)
{
    step_embed(b, 'o');
}

static void step_bf16(bench *b)
{
    step_embed(b, 'b');
}

static void step_published(bench *b)
{
    step_embed(b, 'p');
}

/* The photos' embeddings into a file for like=. */
static void step_embeddings(bench *b)
{
    need_crops(b);
    faces *f = b->faces;
    float *out = fw_alloc(f->n * DIM, sizeof *out);
    uint16_t *half = fw_alloc(f->n * DIM, sizeof *half);
    embed_all(b, f->own, out);
    fw_float_to_half(out, half, f->n * DIM);
    FILE *file = fopen(b->embeddings, "wb");
    if (file) fwrite(half, DIM * sizeof *half, f->n, file), fclose(file);
    fw_free(out), fw_free(half);
}

const step bench_faces_steps[] = {{"decode", "read and decode all photos", step_decode},
                                  {"loop", "read, decode, detect, align, embed", step_loop},
                                  {"loop-bf16", "the same, embed.precision = bf16", step_loop_bf16},
                                  {"own", "embed all faces", step_own},
                                  {"bf16", "embed all faces, embed.precision = bf16", step_bf16},
                                  {"published", "embed all faces with the graph as published", step_published},
                                  {"embeddings", "write the faces' embeddings", step_embeddings},
                                  {0}};
