/* The configuration file: read, checked as a whole, and told about all at once. */
#ifndef GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_H

#include "contract/settings.h"

/* Reads and checks path; every error goes to standard error as "file:line: keyword: reason".  Gives their number. */
int config_load(const char *path, struct settings *set);

#endif
