/*
 * Lists of networks as people write them: "192.0.2.0/24,2001:db8::/32,198.51.100.7".  An empty list allows every
 * address.  Pure.
 */
#ifndef POLICY_NETWORKS_H
#define POLICY_NETWORKS_H

/* 0 when `list` is empty or each part is an address or a network whose host bits are zero; -1 otherwise. */
int networks_check(const char *list);

/* Nonzero when `address` lies in one of `list` (or that is empty).  An IPv4 address mapped into IPv6 counts as IPv4,
 * and lies in no network of IPv6. */
int networks_hold(const char *list, const char *address);
#endif
