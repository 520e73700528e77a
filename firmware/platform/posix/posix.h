#ifndef WS_POSIX_H
#define WS_POSIX_H

#include "programs/common/io.h"

ws_io ws_posix_io(void);

#endif
