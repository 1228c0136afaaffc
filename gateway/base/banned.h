/* Calls that have hurt others too often: using one is a compile error.  Included before every file. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#undef alloca
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets alloca system strtok atoi atol
#endif
