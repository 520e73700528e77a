/* SPDX-License-Identifier: Apache-2.0 */
/* From a wake to a stream of frames: the word with half a second before it, and what follows.
 *
 * docs/protocol.md describes the messages and when they end. Nothing here blocks: a link takes what
 * it can; when the ring overflows before that, the samples left out are counted and reported.
 * Samples are those of the engine: what it did not process is not sent.
 */
#ifndef WS_UPLINK_H
#define WS_UPLINK_H

#include "frame.h"
#include "wakestate/ring.h"
#include "ws_words.h"

WS_BEGIN_C

#define WS_UPLINK_VERSION 1u
#define WS_UPLINK_FOLLOW_MAX (10u * WS_SAMPLE_RATE)

#define WS_PREROLL_SAMPLES 8000u /* before the word: half a second, as AVS asks */
/* The longest word: what the steps that wake together see. */
#define WS_WORD_MAX ((WS_SEEN_HOPS - 1u) * WS_HOP + WS_WINDOW)
/* A quarter of a second in which the link may be blocked before it catches up. */
#define WS_PREROLL_SLACK (WS_SAMPLE_RATE / 4u)
#define WS_PREROLL_CAPACITY (WS_PREROLL_SAMPLES + WS_WORD_MAX + WS_PREROLL_SLACK)

enum { WS_UPLINK_START = 1, WS_UPLINK_AUDIO = 2, WS_UPLINK_END = 3 }; /* types of frames */

/* Why a message ended. */
typedef enum {
    WS_UPLINK_STOPPED = 0,
    WS_UPLINK_LONGEST = 1,
    WS_UPLINK_NEXT_WAKE = 2,
    WS_UPLINK_INPUT_ENDED = 3
} ws_uplink_reason;

/* Takes up to `count` bytes and returns how many; 0: try again later. */
typedef size_t (*ws_uplink_link)(void *to, const uint8_t *bytes, size_t count);

/* Its state. Fields are private, but for the counts. */
typedef struct {
    ws_ring ring; /* the newest samples: in `pcm` */
    int16_t pcm[WS_PREROLL_CAPACITY];
    uint64_t processed; /* samples, since the engine started */
    bool on;
    bool input_ended;
    uint64_t missed; /* samples that came in and were not processed, in all */

    bool waits; /* a wake whose message has not begun, and what was missed up to it */
    ws_event waiting;
    uint64_t waiting_missed;

    bool active;        /* a message is being sent: */
    uint16_t utterance; /* its number */
    uint64_t first;     /* its first sample, */
    uint64_t next;      /* the next to go out, */
    uint64_t end;       /* and the one after its last */
    ws_uplink_reason reason;
    uint32_t message_unsent;

    uint32_t number; /* of the next frame */
    ws_frame_writer frame;
    size_t sent; /* bytes of it */

    uint64_t unsent;  /* samples that the link was too slow for, in all */
    uint32_t skipped; /* wakes that got no message: the link was busy with two before */
} ws_uplink;

/* Call it first; the uplink is then off. */
void ws_uplink_reset(ws_uplink *uplink);

/* On: wakes become messages. Off stops the one in progress. */
void ws_uplink_switch(ws_uplink *uplink, bool on);

/* The engine starts again at sample 0: nothing was processed yet. */
void ws_uplink_restart(ws_uplink *uplink);

/* What was given to ws_push; before the events that it brings. */
void ws_uplink_push(ws_uplink *uplink, const int16_t *pcm, size_t count);
/* Samples came in that were not processed. */
void ws_uplink_missed(ws_uplink *uplink, uint64_t samples);
void ws_uplink_wake(ws_uplink *uplink, const ws_event *event);
void ws_uplink_input_ended(ws_uplink *uplink);

/* End the message number `utterance`, or with 0 the current one; a finished one is left alone. */
void ws_uplink_stop(ws_uplink *uplink, uint16_t utterance);

/* Give the link what it takes of a frame; true when it took all: there may be another. One at a
 * time, so that on a fast link the sound that comes in does not wait until all is out. */
bool ws_uplink_pump(ws_uplink *uplink, ws_uplink_link link, void *to);
/* Only the rest of a frame that has begun; true when it is sent: then other bytes may use the link.
 */
bool ws_uplink_finish(ws_uplink *uplink, ws_uplink_link link, void *to);

WS_END_C

#endif
