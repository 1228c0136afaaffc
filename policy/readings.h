/*
 * Readings: play, files, verify, export.  Policy says who may; the reader does it, and writes into one end of a pair whose other
 * end goes to whoever asked, so that policy never sees a recording.
 */
#ifndef POLICY_READINGS_H
#define POLICY_READINGS_H
#include "policy.h"

struct verb;

void readings_reader_anew(struct policy *p); /* the reader is a new one: what was under way is over */
void readings_end(struct policy *p);
void on_read_done(struct policy *p, const struct msg_read_done *m);
/* After the book holds the event.  verb: "play" ...; id "" or 32 hex digits; options a JSON object. */
void reading_begin(struct verb *v);
/* Keeps what is to be read for reading_begin. */
void reading_plan(struct verb *v, const char *id, const char *options);
void reading_forget(struct verb *v);
int reading_is_planned(const struct verb *v);
#endif
