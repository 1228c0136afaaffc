#include "transfer.h"

#include "ledger.h"
#include "scp.h"
#include "sftp.h"

struct transfer {
	struct ledger ledger;
	struct sftp *sftp; /* one of the two */
	struct scp *scp;
	int ended;
};

struct transfer *
transfer_new(const struct transfer_of *of)
{
	struct transfer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return (NULL);
	t->ledger.fact = of->fact;
	t->ledger.ctx = of->ctx;
	t->ledger.left = SIZE_MAX;
	if (of->kind == TRANSFER_SFTP)
		t->sftp = sftp_new(&t->ledger, of->capabilities);
	else
		t->scp = scp_new(&t->ledger, of->kind == TRANSFER_SCP_UP ? SCP_UP : SCP_DOWN, of->command);
	if (t->sftp != NULL || t->scp != NULL)
		return (t);
	free(t);
	return (NULL);
}

int
transfer_from_engineer(struct transfer *t, struct bytes piece, int64_t now_ms, struct fifo *on, struct fifo *back)
{
	if (t->ended)
		return (-1);
	if (t->sftp != NULL)
		return (sftp_from_engineer(t->sftp, piece, now_ms, on, back));
	return (scp_from_engineer(t->scp, piece, now_ms, on));
}

int
transfer_from_target(struct transfer *t, struct bytes piece, int64_t now_ms, struct fifo *on)
{
	if (t->ended)
		return (-1);
	if (t->sftp != NULL)
		return (sftp_from_target(t->sftp, piece, now_ms, on));
	return (scp_from_target(t->scp, piece, now_ms, on));
}

const char *
transfer_trouble(const struct transfer *t)
{
	return (t->sftp != NULL ? sftp_trouble(t->sftp) : scp_trouble(t->scp));
}

void
transfer_end(struct transfer *t, int64_t now_ms)
{
	if (t->ended)
		return;
	t->ended = 1;
	ledger_close(&t->ledger);
	if (t->sftp != NULL)
		sftp_end(t->sftp, now_ms);
	else
		scp_end(t->scp, now_ms);
	ledger_sum(&t->ledger, now_ms);
}

const struct transfer_counts *
transfer_counts(const struct transfer *t)
{
	return (&t->ledger.counts);
}

void
transfer_free(struct transfer *t)
{
	if (t == NULL)
		return;
	sftp_free(t->sftp);
	scp_free(t->scp);
	free(t);
}
