/*
 * The receipt: what the recorder said of a visit's recording at its end, and the lines that the engineer reads of it, of
 * the window, its approver, why it ended, and the files that were carried.
 */
#ifndef SESSION_RECEIPT_H
#define SESSION_RECEIPT_H

#include "channel.h"

void receipt_on_sealed(struct session *s, const struct msg_sealed *m);
void receipt_say(const struct visit *v, struct channel *to);

#endif
