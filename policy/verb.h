/* One verb under way, for the files that carry verbs out (verb_*.c) and the doors (control.c, readings.c). */
#ifndef POLICY_VERB_H
#define POLICY_VERB_H
#include "outbox.h"
#include "sheet.h"
#include "visits.h"
#include "words.h"

struct client;

/* Who speaks.  role ROLE_OPERATOR with login "root": the box's own root, who never approves. */
struct speaker {
	char login[ROW_NAME], vendor[ROW_NAME], source[ROW_NAME];
	int role;
	int64_t session;               /* number of the visitor; 0 on the box */
	const struct visitor *visitor; /* lent, NULL on the box */
};

struct verb {
	struct verb *next;
	struct policy *policy;
	/* where it came from; exactly one of the two */
	struct connection *connection;
	struct client *client;
	uint32_t ask;
	/* what was said */
	struct speaker who;
	unsigned columns; /* 0: no terminal */
	char zone[64];
	struct words words;
	struct call call;
	enum sheet_form form;
	/* the answer */
	struct text out, err;
	uint8_t status;
	int64_t event;      /* the book must hold it before anything is said */
	uint64_t reading;   /* number of the reading under way; 0: none */
	int is_scanning;    /* target scan: not done yet */
	int waits_for_code; /* fresh.h: nothing was done yet, and nothing is said */
	const char *kept;   /* what is kept of an answer that is shown once; NULL: all of it */
	int said;           /* out and err went to whoever asked */
	int follows;        /* events --follow: goes on until they leave */
	int64_t followed;   /* the last event shown */
	int64_t restate;    /* a grant whose new end is told when the book holds it; 0: none */
};

/* Called by both doors; v (given) is filled up to `zone`, words taken from `from`. */
void verb_run(struct verb *v, struct bytes from, enum words_kind kind);
/* Sends what is there, and the end, when nothing more is to come.  The verb is freed when all is said. */
void verb_say(struct verb *v);
void verb_end(struct verb *v, uint8_t status); /* after a reading */
struct peer *verb_peer(const struct verb *v);
/* A verb that found its link gone: freed, its reading left to end by itself. */
void verb_forget(struct verb *v);

/* Refusals: one line on standard error, the status of the reason. text "": the reason's own words. */
void verb_refuse(struct verb *v, enum reason reason, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Wrong words: status 64. */
void verb_usage(struct verb *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Keeps the answer in the transaction, and notes the event after which it is said. */
void verb_changed(struct verb *v, int64_t event);
void verb_commit(struct verb *v);
/* The code came: the verb begins again, from its words. */
void verb_resume(struct verb *v);
/* The number of argument i, or usage is said and -1. */
int verb_number(struct verb *v, size_t i, int64_t *number);

/* What handlers share; verb_share.c.  Those that give -1 have refused, or said what is wrong. */
/* Refuses, and the book is told that somebody typed what they may not.  request 0: about none. */
void verb_refuse_noted(struct verb *v, enum reason reason, int64_t request, const char *text);
/*
 * Deciding verbs never ride on MFAGrace with a proof that is not bound to this host: who does gives a code anew.  0: go on; -1:
 * the verb was refused, or waits and is begun again, and the handler leaves.  It must not have said or done anything by then.
 */
int verb_is_fresh(struct verb *v);
/* People of a vendor see their own vendor's rows alone.  Nonzero: yes. */
int verb_may_see(const struct verb *v, const char *vendor);
/* A span, a moment; *ms is left alone when the option was not given. */
int verb_span(struct verb *v, const char *option, int64_t least, int64_t most, int64_t *ms);
int verb_moment(struct verb *v, const char *option, int64_t *ms);
/* A moment that has been, or a span back from now. */
int verb_since(struct verb *v, const char *option, int64_t *ms);
/* Text of an option, "" when not given; it must fit its row. */
int verb_text(struct verb *v, const char *option, char *to, size_t size);
#define VERB_TEXT(v, option, array) verb_text((v), (option), (array), sizeof(array))
/*
 * Lists of what grows are shown in pages: the newest VERB_PAGE below --before NO.  verb_older says on standard error that
 * there are older ones than number `before`, and what to type for them.
 */
#define VERB_PAGE 200
int verb_before(struct verb *v, int64_t *before);
void verb_older(struct verb *v, const char *what, int64_t before);
/* The request that argument 0 numbers. */
int verb_request_load(struct verb *v, struct request *r);
/* Says the request's state, and by whom it came: it is not one in which this can be done. */
void verb_refuse_state(struct verb *v, const struct request *r);
/* Fills g (id 0: there is none) with the request's grant; gives the name of the state as people know it. */
const char *request_state(struct policy *p, const struct request *r, struct grant *g);
/* One sentence for people, the request as JSON for programs. */
void verb_answer(struct verb *v, const struct request *r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A row of it, for tables and JSON. */
void request_row(struct policy *p, struct sheet *s, const struct request *r);
/* A line for each target that showed a host key which is not pinned; nothing when none did. */
void target_warnings_put(struct verb *v);
/* What waits, is open, or was asked or decided since then (0: all there are), of a number below `before`. */
#define REQUESTS_LATELY_MS INT64_C(86400000)
void requests_list(struct verb *v, int64_t since_wall_ms, int64_t before);
/* Who may decide on it, as things stand: "maria, mona". */
void deciders_print(struct policy *p, const struct request *r, char *text, size_t size);
/* "osv1 as svc" */
#define PLACE_TEXT (2 * ROW_NAME + 8)
void place_print(const char *target, const char *account, char text[PLACE_TEXT]);
/* The same for a list, with where it forwards to when that is short: "osv1 as svc, cmp:443", "osv1 as svc, 3 forwards". */
#define WISH_TEXT (PLACE_TEXT + 48)
void wish_print(const char *target, const char *account, const char *forwards, char text[WISH_TEXT]);
/* All that may be done: "shell,exec,forward to cmp:443,10.0.0.7:8443" */
#define MAY_TEXT (ROW_WORDS + 80)
void may_print(int64_t capabilities, const char *forwards, char text[MAY_TEXT]);
/* Both as JSON has them, and in no table. */
void may_put(struct sheet *s, int64_t capabilities, const char *forwards);

/* The handlers, by file. */
typedef void verb_fn(struct verb *v);
verb_fn verb_request, verb_withdraw, verb_requests;                 /* verb_request.c */
verb_fn verb_show;                                                  /* verb_show.c */
verb_fn verb_approve, verb_deny, verb_extend, verb_revoke;          /* verb_decide.c */
verb_fn verb_secret;                                                /* verb_secret.c */
verb_fn verb_vendor, verb_person, verb_target;                      /* keep.h */
verb_fn verb_sessions, verb_end_sessions, verb_events, verb_status; /* verb_house.c */
verb_fn verb_help, verb_menu, verb_explain;                         /* verb_help.c */
verb_fn verb_snippet;                                               /* verb_snippet.c */
verb_fn verb_recordings, verb_play, verb_verify, verb_export;       /* verb_record.c */
verb_fn verb_files;                                                 /* verb_record.c */
/* More of the same to who follows; from verbs_advance. */
void verb_events_more(struct verb *v);
/* What is unusual about a request, for `show`: lines of text. */
void request_unusual(struct policy *p, const struct request *r, struct text *to);
#endif
