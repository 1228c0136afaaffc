/*
 * lodge-session --scan: asks one target for its algorithms, its host keys and its login methods, on connections that
 * lodge-dialer makes on policy's word, and tells policy.  It holds no key and no credential, and ends when it is done.
 *
 * Connection 1 is read by hand (scan_hello.h); then one for each kind of host key that the target offers (scan_key.h), on the
 * first of which that works the login methods are asked too.  Each has DialTimeout, all together SCAN_ALL_MS.
 */
#ifndef SESSION_SCAN_H
#define SESSION_SCAN_H

#define SCAN_ALL_MS 30000

void scan_run(void); /* the whole life of the process */

#endif
