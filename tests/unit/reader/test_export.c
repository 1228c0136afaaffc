/* export, then everything that judges a bundle: stock tar, verify.sh with stock tools, lodge-replay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "site.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define BEGAN_A 1764000000000
#define BEGAN_B 1764086400000
#define REC_A "$R/s/2025/11/24/" A
#define REC_B "$R/s/2025/11/25/" B
#define OPTIONS "{\"columns\":0,\"request\":{\"request\":17,\"person\":\"alice\",\"approver\":\"maria\"}}"
#define BUNDLE "lodge-" B
#define REPLAY LODGE_REPLAY

static struct site site;

static int
setup(void **state)
{
	(void)state;
	site_begin(&site);
	site_record(&site, A, BEGAN_A, SITE_PLAIN);
	for (int i = 0; i < 20; i++)
		site_event(&site, "{\"leaf\":\"event\"}");
	site_record(&site, B, BEGAN_B, SITE_RECOVERED | SITE_HOSTILE);
	site_event(&site, "{\"leaf\":\"event\"}");
	site_checkpoint(&site);
	site_book_close(&site);
	return (site_sh(&site, NULL, "cp -a now good"));
}

static int
teardown(void **state)
{
	(void)state;
	site_end(&site);
	return (0);
}

/* Exports to `name`.tar and unpacks into `name`/; *status_of_tar is tar's. */
static struct task_end
exported(const char *id, const char *name, int *status_of_tar)
{
	struct blob out = {.at = NULL};
	struct task_end end;
	char path[128];
	FILE *f;

	site_hold(&site);
	end = site_run(&site, "export", id, OPTIONS, &out);
	(void)snprintf(path, sizeof(path), "%s/%s.tar", site.dir, name);
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(out.size > 0 ? out.at : (unsigned char *)"", 1, out.size, f), out.size);
	assert_int_equal(fclose(f), 0);
	*status_of_tar =
	    site_sh(&site, NULL, "rm -rf %s && mkdir %s && tar -C %s -xf %s.tar", name, name, name, name);
	blob_free(&out);
	return (end);
}

static void
fresh(void)
{
	assert_int_equal(site_sh(&site, NULL, "rm -rf now && cp -a good now"), 0);
}

/* For one file in 256 the last byte is a z already. */
#define LAST_BYTE_CHANGED                                                   \
	"f=x/000001.cast.zst.age; b=z; [ \"$(tail -c1 $f)\" = z ] && b=y; " \
	"truncate -s -1 $f; printf $b >> $f; "

static void
expect_sh(int status, const char *says, const char *words)
{
	struct blob out = {.at = NULL};
	int is = site_sh(&site, &out, "%s", words);

	if (is != status || (says != NULL && !blob_has(&out, says)))
		fail_msg("%s: status %d, and not '%s' with %d:\n%.*s", words, is, says != NULL ? says : "", status,
		    (int)out.size, (const char *)out.at);
	blob_free(&out);
}

static void
a_bundle_verifies_everywhere(void **state)
{
	struct task_end end;
	int tar;

	(void)state;
	fresh();
	end = exported(B, "b", &tar);
	assert_string_equal(end.summary, "");
	assert_int_equal(end.status, TASK_GOOD);
	assert_int_equal(tar, 0);
	expect_sh(0, "VERIFIED: 6 files, recording " B, "sh b/" BUNDLE "/verify.sh");
	expect_sh(0, "VERIFIED  recording " B ", recovered: 7 files", REPLAY " verify b/" BUNDLE);
	expect_sh(0, "not proven  that this key is the book's", REPLAY " verify b/" BUNDLE);
	expect_sh(0, "not proven  request.json", REPLAY " verify b/" BUNDLE);
	expect_sh(0, "proven      5 sealed files open whole", REPLAY " verify --identity reading.age b/" BUNDLE);
	expect_sh(0, "(the expected one)", REPLAY " verify b/" BUNDLE " --key $B/log.pub");
	expect_sh(0, "\"approver\": \"maria\"", "cat b/" BUNDLE "/request.json");
	expect_sh(0, "\"person\":\"alice\"", "cat b/" BUNDLE "/meta.json");
	expect_sh(0, "segment 1 says hello", "age -d -i reading.age b/" BUNDLE "/000001.cast.zst.age | zstd -d");
	expect_sh(
	    0, "recovered says hello", "age -d -i reading.age b/" BUNDLE "/derived/000002.cast.zst.age | zstd -d");
	end = exported(A, "a", &tar);
	assert_int_equal(end.status, TASK_GOOD);
	expect_sh(0, ", sealed: 7 files", REPLAY " verify a/lodge-" A);
	expect_sh(0, "VERIFIED: 6 files", "cd / && sh $OLDPWD/a/lodge-" A "/verify.sh");
}

static void
replay_plays_safely(void **state)
{
	struct blob out = {.at = NULL};
	int tar;

	(void)state;
	fresh();
	(void)exported(B, "b", &tar);
	assert_int_equal(
	    site_sh(&site, &out, REPLAY " play --speed 100 --idle 1s --identity reading.age b/" BUNDLE), 0);
	assert_true(blob_has(&out, "segment 0 says hello\n"));
	assert_true(blob_has(&out, "plain red"));
	assert_true(blob_has(&out, "recovered says hello\n"));
	assert_false(blob_has(&out, "\x1b"));
	assert_false(blob_has(&out, "cm0gLXJmIC8K"));
	blob_clear(&out);
	assert_int_equal(
	    site_sh(&site, &out, REPLAY " play --at 00:00:05 --speed 0 --identity reading.age b/" BUNDLE), 0);
	assert_false(blob_has(&out, "segment 0"));
	assert_true(blob_has(&out, "recovered says hello\n"));
	blob_free(&out);
	expect_sh(66, "--identity FILE opens it", REPLAY " play b/" BUNDLE);
	expect_sh(66, "nowhere", REPLAY " verify nowhere");
	expect_sh(66, "nowhere", REPLAY " verify --identity nowhere b/" BUNDLE);
	expect_sh(66, "nowhere", REPLAY " verify --key nowhere b/" BUNDLE);
	expect_sh(66, NULL, REPLAY " play --identity reading.age b");
	expect_sh(64, "usage", REPLAY);
	expect_sh(64, "usage", REPLAY " verify");
	expect_sh(64, "usage", REPLAY " verify --speed 2 b/" BUNDLE);
	expect_sh(64, "usage", REPLAY " play --speed x --identity reading.age b/" BUNDLE);
	expect_sh(64, "usage", REPLAY " list --identity reading.age b/" BUNDLE);
	expect_sh(64, "usage", REPLAY " play --at 5 --identity reading.age b/" BUNDLE);
	expect_sh(1, "FAULT  proof/log.pub: is missing", REPLAY " verify b");
}

static void
replay_lists_what_was_carried(void **state)
{
	int tar;

	(void)state;
	fresh();
	(void)exported(B, "b", &tar);
	expect_sh(0, "        4  upload               5  aabbccddeeff00112233 ",
	    REPLAY " files --identity reading.age b/" BUNDLE);
	expect_sh(0, "recovered after a crash", REPLAY " files --identity reading.age b/" BUNDLE);
	expect_sh(0, "2", REPLAY " files --json --identity reading.age b/" BUNDLE " 2>/dev/null | jq length");
	expect_sh(1, "64 KiB chunk 0: chunk authentication failed  000001.cast.zst.age",
	    "rm -rf x; cp -a b/" BUNDLE " x; " LAST_BYTE_CHANGED REPLAY " files --identity reading.age x");
	expect_sh(1, "something is missing",
	    "rm -rf x; cp -a b/" BUNDLE " x; rm x/000001.cast.zst.age;" REPLAY " files --identity reading.age x");
	expect_sh(66, "--identity FILE opens it", REPLAY " files b/" BUNDLE);
	expect_sh(66, "no segment of a recording", REPLAY " files --identity reading.age b");
	expect_sh(64, "usage", REPLAY " files --speed 1 --identity reading.age b/" BUNDLE);
	expect_sh(64, "usage", REPLAY " play --json --identity reading.age b/" BUNDLE);
	expect_sh(1, NULL, REPLAY " files --identity reading.age b/" BUNDLE " > /dev/full");
}

/* One bit in the middle of each file.  What a bundle cannot prove says so of itself instead. */
static void
one_bit_in_each_file(void **state)
{
	int tar;

	(void)state;
	fresh();
	(void)exported(B, "b", &tar);
	expect_sh(0, "seen 19",
	    "n=0\n"
	    "flip() { at=$(($(stat -c %s \"$1\") / 2)); b=$(od -An -tu1 -j$at -N1 \"$1\" | tr -d ' ');"
	    " printf \"\\\\$(printf %o $((b ^ 1)))\" | dd of=\"$1\" bs=1 seek=$at conv=notrunc status=none; }\n"
	    "for f in $(cd b/" BUNDLE " && find . -type f | sed 's/^..//'); do\n"
	    "  rm -rf x; cp -a b/" BUNDLE " x; flip x/$f; n=$((n + 1))\n"
	    "  how=; case $f in request.json) continue;; derived/*) how='--identity reading.age';; esac\n"
	    "  said=$(" REPLAY " verify $how x 2>&1); is=$?\n"
	    "  case $is:$said in 1:*\"FAULT  \"*\"$f\"*) ;; *) echo \"lodge-replay, $f: $is $said\"; exit 1;; "
	    "esac\n"
	    "  case $f in README.txt|verify.sh|derived/*) continue;; esac\n"
	    "  said=$(sh x/verify.sh 2>&1); is=$?\n"
	    "  case $is:$said in 1:*'NOT VERIFIED: '*) ;; *) echo \"verify.sh, $f: $is $said\"; exit 1;; esac\n"
	    "done; echo seen $n");
	expect_sh(1, "000001.cast.zst.age: hash mismatch, 64 KiB chunk 0: chunk authentication failed",
	    "rm -rf x; cp -a b/" BUNDLE " x; " LAST_BYTE_CHANGED REPLAY " verify --identity reading.age x");
}

/* What is done to a bundle; lodge-replay and verify.sh must both refuse it. */
static void
each_attack_on_a_bundle(void **state)
{
	static const struct {
		const char *words, *replay, *script;
	} attacks[] = {
	    {"truncate -s -30 000001.cast.zst.age", "000001.cast.zst.age: hash mismatch",
	        "a file is missing or altered"},
	    {"rm 000001.cast.zst.age", "000001.cast.zst.age: is missing", "a file is missing or altered"},
	    {"rm 000001.cast.zst.age; sed -i /000001/d SHA256SUMS", "SHA256SUMS: is not the one",
	        "SHA256SUMS is not the one"},
	    {"mv 000000.cast.zst.age t; mv 000001.cast.zst.age 000000.cast.zst.age; mv t 000001.cast.zst.age",
	        "000000.cast.zst.age: hash mismatch", "a file is missing or altered"},
	    {"cp 000001.cast.zst.age 000003.cast.zst.age", "000003.cast.zst.age: is not listed",
	        "000003.cast.zst.age is not listed"},
	    {"cp 000001.cast.zst.age 000001.cast", "000001.cast: is not listed", "000001.cast is not listed"},
	    {"echo > .hidden", ".hidden: is not listed", ".hidden is not listed"},
	    {"rm SHA256SUMS", "SHA256SUMS: is missing", "SHA256SUMS"},
	    {"rm meta.json", "meta.json: is missing", "meta.json"},
	    {"rm -r proof", "proof/log.pub: is missing", "no checkpoint"},
	    {"rm proof/end.tlog-proof", "proof/end.tlog-proof: is missing", "end has another checkpoint"},
	    {"cp proof/start.json proof/end.json", "proof/end", "session.end is not in the book"},
	    {"sed -i '2s/.*/99/' proof/checkpoint", "proof/checkpoint: ", "not signed"},
	    {"sed -i 's/^index .*/index 0/' proof/start.tlog-proof",
	        "proof/start.tlog-proof: ", "session.start is not in the book"},
	    {"cp ../a/lodge-" A "/proof/end* proof/", "proof/end", "start and end of different recordings"},
	    {"cp -r ../a/lodge-" A "/proof .", "SHA256SUMS: is not the one", "SHA256SUMS is not the one"},
	    {"openssl genpkey -algorithm ed25519 | openssl pkey -pubout > proof/log.pem",
	        "proof/log.pem: is not the key", "proof/log.pem is not the key"},
	    {"cp README.txt proof/more", "proof/more: is no part of a bundle", NULL},
	    {"cp 000001.cast.zst.age derived/", "derived/000001.cast.zst.age: is made from no segment", NULL},
	    {"cp 000000.cast.zst.age derived/000002.cast.zst.age",
	        "derived/000002.cast.zst.age: is not what the recovered", NULL},
	    {"ln -sf /etc/passwd request.json", "request.json: ", NULL},
	};
	char words[512];
	int tar;

	(void)state;
	fresh();
	(void)exported(A, "a", &tar);
	(void)exported(B, "b", &tar);
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		(void)snprintf(words, sizeof(words),
		    "rm -rf x; cp -a b/" BUNDLE " x; cd x; %s; cd ..; " REPLAY " verify --identity reading.age x",
		    attacks[i].words);
		expect_sh(1, attacks[i].replay, words);
		if (attacks[i].script != NULL) {
			(void)snprintf(words, sizeof(words), "sh x/verify.sh # %s", attacks[i].words);
			expect_sh(1, attacks[i].script, words);
		}
	}
}

/* A bundle forged whole under a key of the forger's: only the key tells, and neither tool may print the true one. */
static void
a_forgers_key_does_not_pass_for_the_books(void **state)
{
	struct note_signer forger;
	char key[NOTE_KEY_TEXT];
	int tar;

	(void)state;
	fresh();
	(void)exported(B, "b", &tar);
	assert_int_equal(
	    site_sh(&site, NULL,
	        "rm -rf x; cp -a b/" BUNDLE " x; openssl genpkey -algorithm ed25519 -out forger; cd x\n"
	        "openssl pkey -in ../forger -pubout > proof/log.pem\n"
	        "sed '/^$/,$d' proof/checkpoint > ../text\n"
	        "openssl pkeyutl -sign -inkey ../forger -rawin -in ../text -out ../sig\n"
	        "old=$(sed -n 's/^.* .* //p' proof/checkpoint); id=$(printf %%s \"$old\" | openssl base64 -d -A | "
	        "head -c 4 | od -An -tx1)\n"
	        "new=$({ printf %%s \"$old\" | openssl base64 -d -A | head -c 4; cat ../sig; } | openssl base64 "
	        "-A)\n"
	        "for f in checkpoint start.tlog-proof end.tlog-proof; do sed -i \"s#$old#$new#\" proof/$f; done"),
	    0);
	assert_int_equal(note_signer_make(&forger, SITE_ORIGIN), 0);
	assert_int_equal(note_key_text(&forger.key, key), 0);
	assert_int_equal(site_sh(&site, NULL, "echo '%s' > forged.pub", key), 0);
	expect_sh(1, "proof/log.pem is not the key in proof/log.pub", "sh x/verify.sh");
	expect_sh(1, "FAULT  proof/checkpoint: ", REPLAY " verify x");
	expect_sh(
	    1, "FAULT  proof/log.pub: is not the key that was given", REPLAY " verify --key forged.pub b/" BUNDLE);
}

/* What cannot be exported whole does not look whole. */
static void
a_damaged_recording_makes_no_whole_archive(void **state)
{
	static const struct {
		const char *words, *says;
		int written;
	} damages[] = {
	    {"truncate -s -30 " REC_B "/000001.cast.zst.age", "NOT whole: 000001.cast.zst.age: hash mismatch", 1},
	    {"rm " REC_B "/000000.cast.zst.age", "NOT whole: 000000.cast.zst.age: is missing", 1},
	    {"truncate -s -1 " REC_B "/meta.json.zst.age", "NOT whole: meta.json.zst.age: ", 1},
	    {"truncate -s -1 " REC_B "/SHA256SUMS", "not exported: SHA256SUMS: is not the one", 0},
	    {"rm -r " REC_B, "and the shelf lost it", 0},
	    {"rm $B/tile/0/*/*", "not exported: the book: ", 0},
	    {"sed -i '2s/.*/2/' $B/checkpoint", "not exported: the book: checkpoint: ", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct task_end end;
		int tar;

		fresh();
		assert_int_equal(site_sh(&site, NULL, "%s", damages[i].words), 0);
		end = exported(B, "d", &tar);
		assert_int_equal(end.status, TASK_BAD);
		if (strstr(end.summary, damages[i].says) == NULL)
			fail_msg("%s: %s", damages[i].words, end.summary);
		if (damages[i].written) {
			assert_int_not_equal(tar, 0);
			expect_sh(1, "NOT VERIFIED", REPLAY " verify d/" BUNDLE);
			expect_sh(1, "NOT VERIFIED", "sh d/" BUNDLE "/verify.sh");
		} else
			expect_sh(0, "0", "stat -c %s d.tar");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_bundle_verifies_everywhere),
	    cmocka_unit_test(replay_plays_safely),
	    cmocka_unit_test(replay_lists_what_was_carried),
	    cmocka_unit_test(one_bit_in_each_file),
	    cmocka_unit_test(each_attack_on_a_bundle),
	    cmocka_unit_test(a_forgers_key_does_not_pass_for_the_books),
	    cmocka_unit_test(a_damaged_recording_makes_no_whole_archive),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
