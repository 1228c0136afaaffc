/* verify and play: what is good is good, each attack of design.md 6.4 is found and named, and nothing hostile is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "site.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccc"
#define DAY_A "s/2025/11/24"
#define DAY_B "s/2025/11/25"
#define BEGAN_A 1764000000000 /* 2025-11-24T16:00:00Z */
#define BEGAN_B 1764086400000
#define BOTH "{\"columns\":0,\"ids\":[\"" A "\",\"" B "\"]}"
#define REC "$R/" DAY_A "/" A

static struct site site;

/* `other`: a book of as many leaves, sound in itself, that knows nothing. */
static void
other_make(uint64_t leaves)
{
	assert_int_equal(site_sh(&site, NULL, "mv $B kept && mkdir $B"), 0);
	site_book_open(&site);
	for (uint64_t i = 0; i < leaves; i++)
		site_event(&site, "{\"leaf\":\"event\",\"type\":\"other\"}");
	site_checkpoint(&site);
	site_book_close(&site);
	assert_int_equal(site_sh(&site, NULL, "mv $B other && mv kept $B"), 0);
}

/* The site as every test finds it: two recordings and some events; `was` is the book before the second. */
static int
setup(void **state)
{
	uint64_t leaves;

	(void)state;
	site_begin(&site);
	for (int i = 0; i < 300; i++)
		site_event(&site, "{\"leaf\":\"event\",\"type\":\"login\"}");
	site_record(&site, A, BEGAN_A, SITE_PLAIN);
	site_event(&site, "{\"leaf\":\"event\",\"type\":\"reading\"}");
	site_checkpoint(&site);
	assert_int_equal(site_sh(&site, NULL, "cp -a $B was"), 0);
	site_record(&site, B, BEGAN_B, SITE_RECOVERED | SITE_HOSTILE);
	site_checkpoint(&site);
	leaves = store_size(site.store);
	site_book_close(&site);
	other_make(leaves);
	assert_int_equal(site_sh(&site, NULL, "cp -a now good"), 0);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	site_end(&site);
	return (0);
}

static void
fresh(void)
{
	assert_int_equal(site_sh(&site, NULL, "rm -rf now && cp -a good now"), 0);
	site_hold(&site);
}

static void
said(const struct blob *out, const char *text)
{
	if (!blob_has(out, text))
		fail_msg("'%s' is not in:\n%.*s", text, (int)out->size, (const char *)out->at);
}

static void
good_ones_are_good(void **state)
{
	struct blob out = {.at = NULL};
	struct task_end end;

	(void)state;
	fresh();
	end = site_run(&site, "verify", A, "{\"columns\":80}", &out);
	assert_int_equal(end.status, TASK_GOOD);
	assert_string_equal(end.summary, "");
	said(&out, A "  sealed      7 files");
	said(&out, "5 opened; 6 leaves in the book\r\n");
	said(&out, "signed by " SITE_ORIGIN "+");
	said(&out, "not proven: ");
	blob_clear(&out);
	end = site_run(&site, "verify", "", BOTH, &out);
	assert_int_equal(end.status, TASK_GOOD);
	said(&out, A "  sealed ");
	said(&out, B "  recovered ");
	said(&out, "2 recordings: 1 sealed, 1 recovered\n");
	blob_free(&out);
}

static void
json_says_the_same(void **state)
{
	struct blob out = {.at = NULL};
	json_t *all;

	(void)state;
	fresh();
	assert_int_equal(site_sh(&site, NULL, "rm " REC "/000001.cast.zst.age"), 0);
	assert_int_equal(
	    site_run(&site, "verify", "", "{\"columns\":0,\"json\":true,\"ids\":[\"" A "\",\"" B "\"]}", &out)
	        .status,
	    TASK_BAD);
	all = json_loadb((const char *)out.at, out.size, 0, NULL);
	assert_non_null(all);
	assert_true(json_is_false(json_object_get(all, "good")));
	assert_int_equal(json_array_size(json_object_get(all, "recordings")), 2);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(json_object_get(all, "recordings"), 0), "badge")),
	    "failed");
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(json_object_get(all, "recordings"), 1), "badge")),
	    "recovered");
	json_decref(all);
	blob_free(&out);
}

/* What is done to shelf and book, and what verify must then say; `many` asks for both by a list. */
struct attack {
	const char *name, *words;
	int many;
	const char *says[3];
};

#define FLIP(file, at)                                                                           \
	"f=" file "; n=" at                                                                      \
	"; b=$(od -An -tu1 -j$n -N1 $f | tr -d ' '); printf \"\\\\$(printf %%o $((b ^ 1)))\" | " \
	"dd of=$f bs=1 seek=$n conv=notrunc status=none"

static const struct attack attacks[] = {
    {"edit", FLIP(REC "/000001.cast.zst.age", "$(($(stat -c %s $f) - 20))"), 0,
        {A "  FAILED      000001.cast.zst.age: hash mismatch, 64 KiB chunk 0: chunk authentication failed"}},
    {"edit of the header", FLIP(REC "/000001.cast.zst.age", "60"), 0,
        {"FAILED      000001.cast.zst.age: hash mismatch"}},
    {"truncation", "truncate -s -1 " REC "/000001.cast.zst.age", 0,
        {"FAILED      000001.cast.zst.age: hash mismatch, 64 KiB chunk 0"}},
    {"a file emptied", ": > " REC "/000001.cast.zst.age", 0, {"FAILED      000001.cast.zst.age: hash mismatch"}},
    {"reordering",
        "cd " REC " && mv 000000.cast.zst.age t && mv 000001.cast.zst.age 000000.cast.zst.age && "
        "mv t 000001.cast.zst.age",
        0, {"000000.cast.zst.age: hash mismatch", "000001.cast.zst.age: hash mismatch"}},
    {"insertion", "cp " REC "/000001.cast.zst.age " REC "/000003.cast.zst.age", 0,
        {"000003.cast.zst.age: is not listed in SHA256SUMS"}},
    {"insertion with its line",
        "cd " REC " && cp 000001.cast.zst.age 000003.cast.zst.age && sha256sum $(ls *.age index.json) > SHA256SUMS",
        0, {"SHA256SUMS: is not the one that session.end in the book names"}},
    {"a segment deleted", "rm " REC "/000001.cast.zst.age", 0, {"000001.cast.zst.age: is missing"}},
    {"a segment deleted with its line",
        "cd " REC " && rm 000001.cast.zst.age && sha256sum $(ls *.age index.json) > SHA256SUMS", 0,
        {"SHA256SUMS: is not the one", "000001.cast.zst.age: is in the book and not in SHA256SUMS"}},
    {"a segment of another recording", "cp $R/" DAY_B "/" B "/000000.cast.zst.age " REC "/", 0,
        {"000000.cast.zst.age: hash mismatch"}},
    {"SHA256SUMS deleted", "rm " REC "/SHA256SUMS", 0, {"SHA256SUMS: is missing"}},
    {"index.json changed", "sed -i s/80/81/ " REC "/index.json", 0, {"index.json: hash mismatch"}},
    {"meta made anew", "echo '{}' | zstd -q | age -r $(age-keygen -y reading.age) > " REC "/meta.json.zst.age", 0,
        {"meta.json.zst.age: hash mismatch, is not what session.start in the book committed to"}},
    {"the session deleted", "rm -r " REC, 0, {A "  FAILED      is in the book, and the shelf lost it"}},
    {"the session renamed", "mv " REC " $R/" DAY_A "/" C, 1,
        {A "  FAILED      is in the book, and the shelf lost it",
            C "  FAILED      " DAY_A "/" C ": lies on the shelf, and the book does not know it"}},
    {"the session on another day", "mv " REC " $R/" DAY_B "/", 0,
        {DAY_B "/" A ": lies there, and by the book should be " DAY_A}},
    {"the session twice", "cp -a " REC " $R/" DAY_B "/", 1,
        {DAY_B "/" A ": lies on another day's shelf than the book says"}},
    {"a forged session", "cp -a " REC " $R/" DAY_A "/" C, 1, {C "  FAILED", "the book does not know it"}},
    {"a file where recordings lie", "echo > $R/" DAY_A "/$(printf 'x\\033[2J')", 1,
        {"is no recording, and the recorder did not put it"}},
    {"the book rolled back", "rm -r $B && cp -a was $B", 1,
        {B "  FAILED      lies on the shelf, and the book does not know it"}},
    {"the book rolled back, asked for one",
        "rm -r $B && cp -a was $B && cp -a $R/" DAY_B "/" B " t && rm -r " REC " && mv t " REC, 0,
        {A "  FAILED      "}},
    {"the checkpoint rolled back", "cp was/checkpoint $B/checkpoint", 1,
        {B "  FAILED      lies on the shelf, and the book does not know it"}},
    {"a forged checkpoint", "sed -i '2s/.*/9/' $B/checkpoint", 0, {A "  FAILED      book: checkpoint: "}},
    {"no checkpoint", "rm $B/checkpoint", 0, {"FAILED      book: checkpoint: "}},
    {"another log's key", "sed -i 's/lodge-test/other/' $B/log.pub", 0, {"FAILED      book: log.pub: "}},
    {"an event changed", FLIP("$B/tile/entries/000", "40"), 0,
        {"FAILED      book: tile/entries/000: leaf 1 is not the one"}},
    {"an event changed with its hash", FLIP("$B/tile/entries/000", "10") "; " FLIP("$B/tile/0/000", "3"), 0,
        {"FAILED      book: tile/entries/000: leaf 0"}},
    {"all leaves and hashes exchanged", "rm -r $B/tile && cp -a other/tile $B/", 0,
        {A "  FAILED      book: checkpoint: the book's leaves are not the ones that it signs"}},
    {"a tile of entries deleted", "rm $B/tile/entries/001.p/*", 0,
        {"book: tile/entries/001.p/", "is missing or cut"}},
    {"a tile of hashes deleted", "rm $B/tile/0/000", 0, {"book: the tile with the hash of leaf 0 is missing"}},
};

static void
each_attack_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		const struct attack *a = &attacks[i];
		struct blob out = {.at = NULL};
		struct task_end end;

		fresh();
		if (site_sh(&site, &out, "%s", a->words) != 0)
			fail_msg(
			    "%s: the attack itself failed: %.*s", a->name, (int)out.size, (const char *)out.at);
		blob_clear(&out);
		site_hold(&site);
		end = a->many ? site_run(&site, "verify", "", BOTH, &out)
		              : site_run(&site, "verify", A, "{\"columns\":0}", &out);
		if (end.status != TASK_BAD || strstr(end.summary, "FAILED") == NULL)
			fail_msg("%s was not noticed: %.*s", a->name, (int)out.size, (const char *)out.at);
		for (size_t k = 0; k < 3 && a->says[k] != NULL; k++)
			if (!blob_has(&out, a->says[k]))
				fail_msg("%s: '%s' is not in:\n%.*s", a->name, a->says[k], (int)out.size,
				    (const char *)out.at);
		assert_false(blob_has(&out, "\x1b"));
		blob_free(&out);
	}
}

/* Signed by the right key, but older than what this reader has seen. */
static void
what_was_seen_is_remembered(void **state)
{
	struct blob out = {.at = NULL};
	struct note_signer other;
	char key[NOTE_KEY_TEXT];

	(void)state;
	fresh();
	assert_int_equal(site_run(&site, "verify", A, "{\"columns\":0}", &out).status, TASK_GOOD);
	assert_int_equal(site_sh(&site, NULL, "rm -r $B/* && cp -a was/* $B/"), 0);
	assert_int_equal(site_run(&site, "verify", A, "{\"columns\":0}", &out).status, TASK_BAD);
	said(&out, "book: checkpoint: was rolled back: it covers ");
	blob_clear(&out);
	fresh();
	assert_int_equal(site_run(&site, "verify", A, "{\"columns\":0}", &out).status, TASK_GOOD);
	assert_int_equal(note_signer_make(&other, SITE_ORIGIN), 0);
	assert_int_equal(note_key_text(&other.key, key), 0);
	assert_int_equal(site_sh(&site, NULL, "echo '%s' > $B/log.pub", key), 0);
	assert_int_equal(site_run(&site, "verify", A, "{\"columns\":0}", &out).status, TASK_BAD);
	said(&out, "book: log.pub: is not the key that it was");
	blob_free(&out);
}

/* A tree of another history, signed by the book's own (stolen) key, as long as the first. */
static void
another_history_is_no_continuation(void **state)
{
	struct blob out = {.at = NULL};

	(void)state;
	fresh();
	assert_int_equal(site_run(&site, "verify", A, "{\"columns\":0}", &out).status, TASK_GOOD);
	assert_int_equal(site_sh(&site, NULL, "rm -r $B/tile $B/tail.* $B/checkpoint"), 0);
	site_book_open(&site);
	site.sequence = 0;
	for (int i = 0; i < 400; i++)
		site_event(&site, "{\"leaf\":\"event\",\"type\":\"other\"}");
	site_checkpoint(&site);
	site_book_close(&site);
	assert_int_equal(site_run(&site, "verify", A, "{\"columns\":0}", &out).status, TASK_BAD);
	said(&out, "book: checkpoint: cannot be shown to continue");
	blob_free(&out);
}

static void
a_live_one_is_incomplete_and_no_fault(void **state)
{
	struct blob out = {.at = NULL};
	struct task_end end;

	(void)state;
	fresh();
	site_book_open(&site);
	site.sequence = 100000;
	site_record(&site, C, BEGAN_B, SITE_LIVE);
	site_checkpoint(&site);
	end = site_run(&site, "verify", C, "{\"columns\":0}", &out);
	assert_int_equal(end.status, TASK_GOOD);
	said(&out, C "  incomplete  no end yet, began 2025-11-25T16:00:00.000Z; 4 files");
	assert_int_equal(site_sh(&site, NULL, "rm $R/" DAY_B "/" C "/000000.cast.zst.age"), 0);
	assert_int_equal(site_run(&site, "verify", C, "{\"columns\":0}", &out).status, TASK_BAD);
	said(&out, "000000.cast.zst.age: is missing");
	/* Closed on the shelf: then the book must know its end. */
	assert_int_equal(site_sh(&site, NULL, "cp " REC "/SHA256SUMS $R/" DAY_B "/" C "/"), 0);
	assert_int_equal(site_run(&site, "verify", C, "{\"columns\":0}", &out).status, TASK_BAD);
	said(&out, "SHA256SUMS: closes it on the shelf, and session.end is not in the book");
	site_book_close(&site);
	blob_free(&out);
}

/* An end that the book signs while the reader waits for it. */
static void
the_end_is_waited_for(void **state)
{
	const struct task_kind *kind = task_of("verify");
	json_t *options = json_object();
	struct task_call call = {.holdings = &site.holdings, .id = C, .options = options, .line_end = "\n"};
	struct task_end end = {.status = TASK_GOOD};
	struct blob out = {.at = NULL};
	enum task_more more;
	uint64_t wait_ms = 0;
	int waits = 0;
	void *task;

	(void)state;
	fresh();
	site_book_open(&site);
	site.sequence = 100000;
	site_record(&site, C, BEGAN_B, SITE_PLAIN); /* its leaves are entered, and signed by nobody yet */
	site_book_close(&site);
	assert_int_equal(site_sh(&site, NULL, "true"), 0);
	site_book_open(&site);
	site_checkpoint(&site);
	site.sequence = 200000;
	site_record(&site, "dddddddddddddddddddddddddddddddd", BEGAN_B, SITE_LIVE);
	site_checkpoint(&site);
	assert_int_equal(
	    site_sh(&site, NULL, "cp " REC "/SHA256SUMS $R/" DAY_B "/dddddddddddddddddddddddddddddddd/"), 0);
	call.id = "dddddddddddddddddddddddddddddddd";
	task = kind->begin(&call, &end);
	assert_non_null(task);
	while ((more = kind->step(task, &out, &wait_ms, &end)) != TASK_OVER)
		if (more == TASK_WAIT && ++waits == 3) {
			assert_int_equal(wait_ms, 500);
			site_record_end(&site, call.id, BEGAN_B);
			site_checkpoint(&site);
		}
	assert_int_equal(waits, 3);
	assert_false(blob_has(&out, "is not in the book\n"));
	assert_false(blob_has(&out, "session.end is not in the book"));
	kind->free(task);
	site_book_close(&site);
	json_decref(options);
	blob_free(&out);
}

static void
what_never_began_is_no_fault(void **state)
{
	struct blob out = {.at = NULL};

	(void)state;
	fresh();
	assert_int_equal(
	    site_sh(&site, NULL, "mkdir $R/" DAY_A "/" C " && cp " REC "/meta.json.zst.age $R/" DAY_A "/" C "/"),
	    0);
	assert_int_equal(site_run(&site, "verify", "", BOTH, &out).status, TASK_GOOD);
	said(&out, "2 recordings: 1 sealed, 1 recovered; 1 that never began\n");
	blob_free(&out);
}

static void
play_shows_text_and_nothing_that_acts(void **state)
{
	struct blob out = {.at = NULL};

	(void)state;
	fresh();
	assert_int_equal(site_run(&site, "play", B, "{\"columns\":80,\"speed\":4.0}", &out).status, TASK_GOOD);
	said(&out, "segment 0 says hello\r\n");
	said(&out, "plain red");
	said(&out, "recovered says hello\r\n");
	for (size_t i = 0; i < out.size; i++)
		if ((out.at[i] < 0x20 && out.at[i] != '\r' && out.at[i] != '\n') || out.at[i] == 0x7f)
			fail_msg("byte 0x%02x at %zu", out.at[i], i);
	assert_false(blob_has(&out, "\xc2\x9b"));
	assert_false(blob_has(&out, "cm0gLXJmIC8K"));
	blob_clear(&out);
	assert_int_equal(site_run(&site, "play", C, "{\"columns\":80}", &out).status, TASK_BAD);
	assert_int_equal(site_sh(&site, NULL, "truncate -s -30 $R/" DAY_B "/" B "/000001.cast.zst.age"), 0);
	assert_int_equal(site_run(&site, "play", B, "{\"columns\":0}", &out).status, TASK_BAD);
	said(&out, "segment 0 says hello\n");
	assert_false(blob_has(&out, "recovered says"));
	blob_free(&out);
}

static void
questions_that_are_none_are_refused(void **state)
{
	static const char *const options[] = {"{}", "{\"ids\":[]}", "{\"ids\":[1]}", "{\"ids\":[\"short\"]}",
	    "{\"ids\":[\"" A "\",\"../../../../etc\"]}"};
	struct blob out = {.at = NULL};

	(void)state;
	fresh();
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		assert_int_equal(site_run(&site, "verify", "", options[i], &out).status, TASK_CANNOT);
	assert_int_equal(out.size, 0);
	assert_null(task_of("delete"));
	blob_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_ones_are_good),
	    cmocka_unit_test(json_says_the_same),
	    cmocka_unit_test(each_attack_is_named),
	    cmocka_unit_test(what_was_seen_is_remembered),
	    cmocka_unit_test(another_history_is_no_continuation),
	    cmocka_unit_test(a_live_one_is_incomplete_and_no_fault),
	    cmocka_unit_test(the_end_is_waited_for),
	    cmocka_unit_test(what_never_began_is_no_fault),
	    cmocka_unit_test(play_shows_text_and_nothing_that_acts),
	    cmocka_unit_test(questions_that_are_none_are_refused),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
