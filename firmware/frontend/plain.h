/* The front end for any core. */
#ifndef WS_FRONTEND_PLAIN_H
#define WS_FRONTEND_PLAIN_H

#include "arithmetic.h"
#include "scalar.h"

#include "column.h"

#endif
