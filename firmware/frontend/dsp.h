/* The front end for cores with the DSP extension (Cortex-M4, M7, M33). */
#ifndef WS_FRONTEND_DSP_H
#define WS_FRONTEND_DSP_H

#include "arithmetic_dsp.h"
#include "scalar.h"

#include "column.h"

#endif
