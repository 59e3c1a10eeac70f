/* main: subcommands and options. */
#include "../lib/file.h"
#include "../lib/log.h"
#include "command.h"
#include "remember.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int cmd_help(const fw_args *a, fw_err *e);
static int cmd_version(const fw_args *a, fw_err *e);

enum { MANY = 1 << 20 };

static const fw_command commands[] = {
    {"run", "--input SRC --work DIR [--benchmark NAME=SRC]... [--model M]... [--export DIR]",
     "every stage, from photos to report and export; resumes", fw_cmd_run, 0},
    {"ingest", "--input SRC --work DIR [--benchmark NAME=SRC]...", "look through the sources and seal what is new",
     fw_cmd_ingest, 0},
    {"status", "--work DIR", "what is done, and what a re-run would do", fw_cmd_status, 0},
    {"report", "--work DIR", "write the HTML report again", fw_cmd_report, 0},
    {"export", "--work DIR --out DIR [--format F] [--all] [--force]",
     "write the cleaned tables (csv, json) or set (dir, rec, tar, tsv, list)", fw_cmd_export, 0},
    {"diff", "A B [--out DIR] [--json]", "what changed between two workspaces or lists", fw_cmd_diff, 2},
    {"verify", "A B [--work DIR] [--json] [--exit-code]", "are two photos of one person?", fw_cmd_verify, 2},
    {"enrol", "SRC --gallery DIR", "put people into a gallery (a workspace, or one of its own)", fw_cmd_enrol, MANY},
    {"identify", "PROBE... --gallery DIR [--top K] [--fpir SHARE] [--all] [--raw] [--json]",
     "who of a gallery is on these photos?", fw_cmd_identify, MANY},
    {"eval",
     "verification|identification|clustering|calibration --work DIR [--pairs FILE] [--benchmark NAME "
     "[--without-overlap]]\n"
     "      [--gallery LIST] [--cleaned] [--truth LIST] [--json]",
     "how well embeddings and clusters tell people apart", fw_cmd_eval, 1},
    {"review", "--work DIR [--sample N [--seed S]] [PORT]",
     "serve the report on this machine; decisions go into the workspace at once", fw_cmd_review, 1},
    {"apply", "--work DIR [--decisions FILE]...", "let what curators decided take effect", fw_cmd_apply, MANY},
    {"selftest", "--work DIR [--set selftest.rate=0.1] [--json]",
     "plant known noise into a copy of the labels, and say what is found", fw_cmd_selftest, 0},
    {"models", "[list | check [--faces] [--model M] | add FILE --input FOLDER [--out INI]]",
     "model descriptions: list, check, or make one for a network file by trying it on photos", fw_cmd_models, 2},
    {"doctor", "[--work DIR]", "check libraries, models, CPU, disk and limits", fw_cmd_doctor, 0},
    {"gc", "--work DIR [--dry-run] [--force]", "remove results that no current plan reaches", fw_cmd_gc, 0},
    {"help", "[COMMAND|STAGE|settings]", "this, or the settings with their live values", cmd_help, 1},
    {"version", "", "the version", cmd_version, 0},
};

enum {
    OPT_BENCHMARK = 256,
    OPT_EXPORT,
    OPT_OUT,
    OPT_FORMAT,
    OPT_ALL,
    OPT_FORCE,
    OPT_JSON,
    OPT_SHARD,
    OPT_PAIRS,
    OPT_MAX_BAD,
    OPT_MEMORY,
    OPT_PRECISION,
    OPT_WAIT,
    OPT_DRY,
    OPT_DECISIONS,
    OPT_SAMPLE,
    OPT_SEED,
    OPT_MODEL,
    OPT_PROVIDER,
    OPT_FACES,
    OPT_GALLERY,
    OPT_TRUTH,
    OPT_TOP,
    OPT_FPIR,
    OPT_RAW,
    OPT_CLEANED,
    OPT_EXIT_CODE,
    OPT_WITHOUT_OVERLAP
};

static const struct option options[] = {{"input", required_argument, NULL, 'i'},
                                        {"work", required_argument, NULL, 'w'},
                                        {"benchmark", required_argument, NULL, OPT_BENCHMARK},
                                        {"config", required_argument, NULL, 'c'},
                                        {"set", required_argument, NULL, 's'},
                                        {"export", required_argument, NULL, OPT_EXPORT},
                                        {"out", required_argument, NULL, OPT_OUT},
                                        {"format", required_argument, NULL, OPT_FORMAT},
                                        {"all", no_argument, NULL, OPT_ALL},
                                        {"force", no_argument, NULL, OPT_FORCE},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"shard", required_argument, NULL, OPT_SHARD},
                                        {"pairs", required_argument, NULL, OPT_PAIRS},
                                        {"max-bad", required_argument, NULL, OPT_MAX_BAD},
                                        {"memory", required_argument, NULL, OPT_MEMORY},
                                        {"precision", required_argument, NULL, OPT_PRECISION},
                                        {"wait", no_argument, NULL, OPT_WAIT},
                                        {"dry-run", no_argument, NULL, OPT_DRY},
                                        {"model", required_argument, NULL, OPT_MODEL},
                                        {"decisions", required_argument, NULL, OPT_DECISIONS},
                                        {"sample", required_argument, NULL, OPT_SAMPLE},
                                        {"seed", required_argument, NULL, OPT_SEED},
                                        {"faces", no_argument, NULL, OPT_FACES},
                                        {"provider", required_argument, NULL, OPT_PROVIDER},
                                        {"gallery", required_argument, NULL, OPT_GALLERY},
                                        {"truth", required_argument, NULL, OPT_TRUTH},
                                        {"top", required_argument, NULL, OPT_TOP},
                                        {"fpir", required_argument, NULL, OPT_FPIR},
                                        {"raw", no_argument, NULL, OPT_RAW},
                                        {"cleaned", no_argument, NULL, OPT_CLEANED},
                                        {"exit-code", no_argument, NULL, OPT_EXIT_CODE},
                                        {"without-overlap", no_argument, NULL, OPT_WITHOUT_OVERLAP},
                                        {"threads", required_argument, NULL, 't'},
                                        {"quiet", no_argument, NULL, 'q'},
                                        {"verbose", no_argument, NULL, 'v'},
                                        {"help", no_argument, NULL, 'h'},
                                        {"version", no_argument, NULL, 'V'},
                                        {0}};

static void on_signal(int sig)
{
    FW_UNUSED(sig);
    fw_stop_request();
}

/* The first Ctrl-C asks; a second one ends the process at once (nothing committed is lost either way). */
static void catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static const fw_command *find_command(const char *name)
{
    for (size_t i = 0; i < FW_COUNT(commands); i++)
        if (!strcmp(commands[i].name, name)) return &commands[i];
    return NULL;
}

static int cmd_version(const fw_args *a, fw_err *e)
{
    FW_UNUSED(a);
    FW_UNUSED(e);
    printf("facewash %s\n", FW_VERSION);
    return FW_OK;
}

static void print_usage(FILE *to)
{
    fprintf(to, "facewash %s: clean and cluster face datasets before training\n\nusage:\n", FW_VERSION);
    for (size_t i = 0; i < FW_COUNT(commands); i++)
        fprintf(to, "  facewash %s %s\n      %s\n", commands[i].name, commands[i].usage, commands[i].summary);
    fprintf(to, "  facewash STAGE --work DIR [--shard N]\n      run one stage:");
    for (size_t i = 0; fw_stages[i]; i++) fprintf(to, " %s", fw_stages[i]->name);
    fprintf(to,
            "\n\nSRC is a folder, list:FILE (path TAB label), list:FILE@SRC, rec:, tar:, zip:, tsv:, bin:, npy: or "
            "feat:FILE, NAME=SRC\n"
            "(several --input); README, \"What goes in\", has them all.\n"
            "options: --config FILE  --set NAME=VALUE  --threads N  --memory SIZE  --provider cpu|cuda\n"
            "         --precision fp32|bf16  --max-bad SHARE  --wait  --quiet  --verbose\n"
            "exit codes: 0 done, 1 failed, 2 usage or config, 3 too many bad images, 75 try again, 130 interrupted\n");
}

static int help_stage(const fw_args *a, const fw_stage *st)
{
    printf("%s: %s\n(%s, version %d)\n\nreads:\n", st->name, st->summary,
           st->scope == FW_SCOPE_SHARD ? "per shard" : "whole dataset", st->version);
    for (size_t i = 0; st->inputs && st->inputs[i]; i++) printf("  %s\n", st->inputs[i]);
    printf("writes:\n");
    for (const fw_output *o = st->outputs; o && o->name; o++)
        printf("  %-20s %s x %d  %s\n", o->name, fw_dtype_name(o->type), o->width, o->what);
    printf("settings:\n");
    for (size_t i = 0; st->settings && st->settings[i]; i++) {
        fw_buf b = {0};
        if (fw_conf_help(a->conf, st->settings[i], &b)) fputs(b.data, stdout);
        fw_buf_free(&b);
    }
    return FW_OK;
}

static void help_command(const fw_args *a, const fw_command *c, fw_buf *b)
{
    fw_buf settings = {0};
    char *prefix = fw_format("%s.", c->name);
    fw_buf_printf(b, "facewash %s %s\n  %s\n", c->name, c->usage, c->summary);
    if (fw_conf_help(a->conf, prefix, &settings)) fw_buf_printf(b, "settings:\n%s", settings.data);
    fw_buf_free(&settings);
    fw_free(prefix);
}

static int cmd_help(const fw_args *a, fw_err *e)
{
    if (!a->nrest) return print_usage(stdout), FW_OK;
    const fw_stage *st = fw_stage_find(a->rest[0]);
    const fw_command *c = find_command(a->rest[0]);
    fw_buf b = {0};
    if (st) return help_stage(a, st);
    if (!strcmp(a->rest[0], "settings"))
        fw_conf_help(a->conf, "", &b);
    else if (c)
        help_command(a, c, &b);
    else
        return fw_fail(e, FW_EUSAGE, "help: '%s' is neither a command nor a stage", a->rest[0]);
    fputs(b.data, stdout);
    fw_buf_free(&b);
    return FW_OK;
}

static int take_shard(fw_args *a, const char *text, fw_err *e)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < 0 || n > 99999999)
        return fw_fail(e, FW_EUSAGE, "--shard '%s': must be a shard's number", text);
    a->shard = (int)n;
    return FW_OK;
}

static int take_number(const char *name, const char *text, uint64_t most, uint64_t *out, fw_err *e)
{
    size_t n = strlen(text);
    bool digits = n && n < 19 && strspn(text, "0123456789") == n;
    *out = digits ? strtoull(text, NULL, 10) : 0;
    if (!digits || *out > most)
        return fw_fail(e, FW_EUSAGE, "%s '%s': must be a whole number up to %llu", name, text,
                       (unsigned long long)most);
    return FW_OK;
}

static int take_sample(fw_args *a, const char *text, fw_err *e)
{
    uint64_t n;
    FW_TRY(take_number("--sample", text, 1000000, &n, e)); /* more than anybody looks at */
    if (!n) return fw_fail(e, FW_EUSAGE, "--sample 0: must be at least 1");
    a->sample = (size_t)n;
    return FW_OK;
}

/* A share of all people and images: more than is ever asked for by hand, less than makes a search slow. */
static int take_top(fw_args *a, const char *text, fw_err *e)
{
    uint64_t n;
    FW_TRY(take_number("--top", text, 500, &n, e));
    if (!n) return fw_fail(e, FW_EUSAGE, "--top 0: must be at least 1");
    a->top = (size_t)n;
    return FW_OK;
}

static int take_fpir(fw_args *a, const char *text, fw_err *e)
{
    char *end;
    a->fpir = strtod(text, &end);
    if (end == text || *end || !(a->fpir > 0 && a->fpir < 1))
        return fw_fail(e, FW_EUSAGE, "--fpir '%s': must be a share between 0 and 1", text);
    return FW_OK;
}

/* Several sources: a line each (lib/source.h). */
static int take_input(fw_args *a, const char *spec)
{
    char *all = a->input ? fw_format("%s\n%s", a->input, spec) : fw_strdup(spec);
    fw_free(a->inputs);
    a->input = a->inputs = all;
    return FW_OK;
}

/* The first --model replaces what settings say, further ones join it. */
static int take_model(fw_args *a, const char *name, fw_err *e)
{
    char *all = a->models ? fw_format("%s,%s", a->conf->embed_model, name) : fw_strdup(name);
    int rc = fw_conf_set(a->conf, "embed.model", all, "--model", e);
    a->models++;
    fw_free(all);
    return rc;
}

static int take_flag(fw_args *a, int opt, fw_err *e)
{
    switch (opt) {
    case OPT_ALL:
        return a->all = true, FW_OK;
    case OPT_FORCE:
        return a->force = true, FW_OK;
    case OPT_JSON:
        return a->json = true, FW_OK;
    case OPT_DRY:
        return a->dry = true, FW_OK;
    case OPT_FACES:
        return a->faces = true, FW_OK;
    case OPT_RAW:
        return a->raw = true, FW_OK;
    case OPT_CLEANED:
        return a->cleaned = true, FW_OK;
    case OPT_EXIT_CODE:
        return a->exit_code = true, FW_OK;
    case OPT_WITHOUT_OVERLAP:
        return a->without_overlap = true, FW_OK;
    case 'q':
        a->quiet = true;
        fw_log_level(FW_WARN);
        return FW_OK;
    case 'v':
        fw_log_level(FW_DEBUG);
        return FW_OK;
    default:
        return fw_fail(e, FW_EUSAGE, "see `facewash help`");
    }
}

static int take_option(fw_args *a, int opt, char *arg, fw_err *e)
{
    switch (opt) {
    case 'i':
        return take_input(a, arg);
    case 'w':
        a->work = arg;
        return FW_OK;
    case 'c':
        return fw_conf_file(a->conf, arg, e);
    case 's':
        return fw_conf_assign(a->conf, arg, e);
    case 't':
        return fw_conf_set(a->conf, "run.threads", arg, "--threads", e);
    case OPT_MEMORY:
        return fw_conf_set(a->conf, "run.memory", arg, "--memory", e);
    case OPT_PRECISION:
        return fw_conf_set(a->conf, "embed.precision", arg, "--precision", e);
    case OPT_MAX_BAD:
        return fw_conf_set(a->conf, "run.max_bad", arg, "--max-bad", e);
    case OPT_MODEL:
        return take_model(a, arg, e);
    case OPT_PROVIDER:
        return fw_conf_set(a->conf, "run.provider", arg, "--provider", e);
    case OPT_WAIT:
        return fw_conf_set(a->conf, "run.wait", "yes", "--wait", e);
    case OPT_BENCHMARK:
        a->benchmark = fw_realloc(a->benchmark, a->benchmarks + 1, sizeof *a->benchmark);
        a->benchmark[a->benchmarks++] = arg;
        return FW_OK;
    case OPT_DECISIONS:
        a->decisions = fw_realloc(a->decisions, a->decision_files + 1, sizeof *a->decisions);
        a->decisions[a->decision_files++] = arg;
        return FW_OK;
    case OPT_SAMPLE:
        return take_sample(a, arg, e);
    case OPT_SEED:
        return take_number("--seed", arg, UINT32_MAX, &a->seed, e);
    case OPT_EXPORT:
        a->export_dir = arg;
        return FW_OK;
    case OPT_OUT:
        a->out = arg;
        return FW_OK;
    case OPT_FORMAT:
        a->format = arg;
        return FW_OK;
    case OPT_PAIRS:
        a->pairs = arg;
        return FW_OK;
    case OPT_SHARD:
        return take_shard(a, arg, e);
    case OPT_GALLERY:
        a->gallery = arg;
        return FW_OK;
    case OPT_TRUTH:
        a->truth = arg;
        return FW_OK;
    case OPT_TOP:
        return take_top(a, arg, e);
    case OPT_FPIR:
        return take_fpir(a, arg, e);
    default:
        return take_flag(a, opt, e);
    }
}
static int parse(fw_args *a, int argc, char **argv, const char **name, fw_err *e)
{
    int opt;
    *name = NULL;
    while ((opt = getopt_long(argc, argv, "i:w:c:s:t:qvhV", options, NULL)) != -1) {
        if (opt == 'h')
            *name = "help";
        else if (opt == 'V')
            *name = "version";
        else
            FW_TRY(take_option(a, opt, optarg, e));
    }
    if (*name) return FW_OK; /* --help and --version win */
    if (optind == argc) return print_usage(stderr), fw_fail(e, FW_EUSAGE, "no command given");
    *name = argv[optind];
    a->rest = argv + optind + 1;
    a->nrest = argc - optind - 1;
    return FW_OK;
}

/* What would be passed over in silence is a mistake: a forgotten --input, a * that the shell made many words of. */
static int check_words(const fw_args *a, const char *name, int most, fw_err *e)
{
    if (a->nrest <= most) return FW_OK;
    return fw_fail(e, FW_EUSAGE, "%s: '%s' is a word too many; see `facewash help %s`", name, a->rest[most], name);
}

static int dispatch(const fw_args *a, const char *name, fw_err *e)
{
    const fw_command *c = find_command(name);
    if (c || fw_stage_find(name)) {
        FW_TRY(check_words(a, name, c ? c->words : 0, e));
        FW_TRY(fw_recall(a, e));
        return c ? c->run(a, e) : fw_cmd_stage(a, name, e);
    }
    return fw_fail(e, FW_EUSAGE, "unknown command '%s'; see `facewash help`", name);
}

/* Of every shard of 4,096 photos the crops may be open: 4 M photos are more than the 1024 files that a login shell allows
 * at first. */
static void allow_files(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l)) return;
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
}

int main(int argc, char **argv)
{
    fw_err e = {0};
    fw_args a = {.conf = fw_conf_new(), .shard = -1, .seed = 1, .top = 5, .fpir = 1e-3};
    const char *name;
    catch_signals();
    allow_files();
    int rc = parse(&a, argc, argv, &name, &e);
    if (!rc) rc = dispatch(&a, name, &e);
    if (e.code) fw_log(FW_ERROR, "%s", e.msg);
    fw_free(a.inputs);
    fw_free((void *)a.benchmark);
    fw_free((void *)a.decisions);
    fw_conf_free(a.conf);
    return rc;
}
