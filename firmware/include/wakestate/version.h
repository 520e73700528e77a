/* SPDX-License-Identifier: Apache-2.0 */
/* Which version of Wakestate these headers are of. */
#ifndef WAKESTATE_VERSION_H
#define WAKESTATE_VERSION_H

#define WS_VERSION_MAJOR 0
#define WS_VERSION_MINOR 1
#define WS_VERSION_PATCH 0
#define WS_VERSION "0.1.0"

/* Of the contract between the engine and a generated model: ws_init compares them. */
#define WS_SCHEMA 4

#endif
