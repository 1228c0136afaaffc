/*
 * What a scan found, set against what is pinned and allowed: which host keys are known, what is missing, what words would
 * allow it, how one could log in.
 */
#ifndef POLICY_SCAN_REPORT_H
#define POLICY_SCAN_REPORT_H
#include "sheet.h"
#include "store.h"

/* Prints it.  json: the scanner's (SCAN_DONE).  -1: it does not read, or tells of no algorithm; nothing
 * is printed. */
int scan_report(
    const struct target *t, const struct rows *pinned, const char *json, enum sheet_form form, struct text *to);
/* "SSH-2.0-OpenSSH_9.2: SHA256:... ssh-ed25519 pinned, ...", for the book; cut at the size. */
void scan_summary(const struct rows *pinned, const char *json, char *text, size_t size);
#endif
