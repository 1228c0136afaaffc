/*
 * The warm parent: sets up libssh, OpenSSL and its own confinement before it meets a byte, then clones one process a
 * connection.  It reads nothing but gateway's messages.
 */
#ifndef SESSION_PARENT_H
#define SESSION_PARENT_H

void parent_run(void); /* until gateway says stop */

#endif
