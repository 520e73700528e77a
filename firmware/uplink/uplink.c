/* SPDX-License-Identifier: Apache-2.0 */
#include "uplink.h"

#include <string.h>

#define AUDIO_SAMPLES ((size_t)WS_HOP) /* of a frame */

_Static_assert(6u + 2u * WS_HOP <= WS_FRAME_PAYLOAD_MAX, "a hop must fit into a frame");
_Static_assert(WS_PREROLL_SLACK >= 2u * WS_HOP, "a frame must fit into the slack");

void ws_uplink_reset(ws_uplink *uplink) {
    memset(uplink, 0, sizeof *uplink);
    ws_uplink_restart(uplink);
}

void ws_uplink_restart(ws_uplink *uplink) {
    uplink->ring = (ws_ring)WS_RING(uplink->pcm);
    uplink->processed = 0;
    uplink->active = false;
    uplink->waits = false;
    uplink->input_ended = false;
    uplink->missed = 0;
}

void ws_uplink_push(ws_uplink *uplink, const int16_t *pcm, size_t count) {
    const uint32_t put = count < WS_PREROLL_CAPACITY ? (uint32_t)count : WS_PREROLL_CAPACITY;
    const uint32_t room = WS_PREROLL_CAPACITY - ws_ring_count(&uplink->ring);
    if (put > room) ws_ring_drop(&uplink->ring, put - room);
    (void)ws_ring_put(&uplink->ring, pcm + count - put, put);
    uplink->processed += count;
}

/* The first sample that is still there. */
static uint64_t oldest(const ws_uplink *uplink) {
    return uplink->processed - ws_ring_count(&uplink->ring);
}

void ws_uplink_missed(ws_uplink *uplink, uint64_t samples) {
    uplink->missed += samples;
}

/* The message ends at sample `end`, unless it does before. */
static void end_at(ws_uplink *uplink, uint64_t end, ws_uplink_reason reason) {
    if (end < uplink->next) end = uplink->next;
    if (!uplink->active || end >= uplink->end) return;
    uplink->end = end;
    uplink->reason = reason;
}

void ws_uplink_wake(ws_uplink *uplink, const ws_event *event) {
    if (!uplink->on) return;
    end_at(uplink, event->sample, WS_UPLINK_NEXT_WAKE);
    if (uplink->waits) uplink->skipped++; /* the newer one's sound is more likely still there */
    uplink->waits = true;
    uplink->waiting = *event;
    uplink->waiting_missed = uplink->missed;
}

void ws_uplink_stop(ws_uplink *uplink, uint16_t utterance) {
    if (utterance == 0 || utterance == uplink->utterance) end_at(uplink, 0, WS_UPLINK_STOPPED);
}

void ws_uplink_switch(ws_uplink *uplink, bool on) {
    uplink->on = on;
    if (on) return;
    uplink->waits = false;
    ws_uplink_stop(uplink, 0);
}

void ws_uplink_input_ended(ws_uplink *uplink) {
    uplink->input_ended = true;
    end_at(uplink, uplink->processed, WS_UPLINK_INPUT_ENDED);
}

static void begin_frame(ws_uplink *uplink, uint8_t type) {
    ws_frame_begin(&uplink->frame, type, uplink->number++);
    ws_frame_number(&uplink->frame, uplink->utterance, 2);
}

static void end_frame(ws_uplink *uplink) {
    ws_frame_end(&uplink->frame);
    uplink->sent = 0;
}

static void add_string(ws_frame_writer *frame, const char *string) {
    size_t length = strlen(string);
    if (length + 1 > frame->room) length = frame->room - 1; /* the word leaves room for a state */
    if (length > UINT8_MAX) length = UINT8_MAX;
    ws_frame_number(frame, length, 1);
    ws_frame_bytes(frame, string, length);
}

/* The field has 32 bits: at its most it means that many or more. */
static void add_missed(ws_frame_writer *frame, uint64_t samples) {
    ws_frame_number(frame, samples < UINT32_MAX ? samples : UINT32_MAX, 4);
}

/* START: the message of the wake that waits. */
static void begin_message(ws_uplink *uplink) {
    const ws_event *event = &uplink->waiting;
    const ws_model *model = ws_words_models[event->word];
    /* What is before all that the network saw is cut; so the rest is still in the ring. */
    uint64_t start = event->start;
    if (start + WS_WORD_MAX < event->sample) start = event->sample - WS_WORD_MAX;
    uint64_t end = event->end > start ? event->end : start + 1;
    uplink->utterance = (uint16_t)(uplink->utterance == UINT16_MAX ? 1 : uplink->utterance + 1);
    uplink->first = uplink->next = start > WS_PREROLL_SAMPLES ? start - WS_PREROLL_SAMPLES : 0;
    uplink->end = event->sample + WS_UPLINK_FOLLOW_MAX;
    uplink->reason = WS_UPLINK_LONGEST;
    uplink->message_unsent = 0;
    uplink->active = true;
    uplink->waits = false;
    if (uplink->input_ended) end_at(uplink, uplink->processed, WS_UPLINK_INPUT_ENDED);

    ws_frame_writer *frame = &uplink->frame;
    begin_frame(uplink, WS_UPLINK_START);
    ws_frame_number(frame, WS_UPLINK_VERSION, 1);
    ws_frame_number(frame, event->state, 1);
    ws_frame_number(frame, WS_SAMPLE_RATE, 4);
    ws_frame_number(frame, start - uplink->first, 4);
    ws_frame_number(frame, end - uplink->first, 4);
    ws_frame_number(frame, event->sample - uplink->first, 4);
    ws_frame_number(frame, event->sample + uplink->waiting_missed, 8);
    add_missed(frame, uplink->waiting_missed);
    ws_frame_number(frame, event->probability, 2);
    add_string(frame, model->name);
    add_string(frame, model->states[event->state]);
    end_frame(uplink);
}

static void audio(ws_uplink *uplink, size_t samples) {
    int16_t pcm[WS_HOP];
    ws_ring_peek(&uplink->ring, (uint32_t)(uplink->next - oldest(uplink)), pcm, (uint32_t)samples);
    begin_frame(uplink, WS_UPLINK_AUDIO);
    ws_frame_number(&uplink->frame, uplink->next - uplink->first, 4);
    for (size_t i = 0; i < samples; i++) {
        ws_frame_number(&uplink->frame, (uint16_t)pcm[i], 2);
    }
    end_frame(uplink);
    uplink->next += samples;
}

static void end_message(ws_uplink *uplink) {
    begin_frame(uplink, WS_UPLINK_END);
    ws_frame_number(&uplink->frame, uplink->reason, 1);
    ws_frame_number(&uplink->frame, uplink->end - uplink->first, 4);
    ws_frame_number(&uplink->frame, uplink->message_unsent, 4);
    add_missed(&uplink->frame, uplink->missed);
    end_frame(uplink);
    uplink->active = false;
}

/* The ring has run over: continue a while behind its oldest sample, so that what is sent is of
 * pieces that are long enough to be processed. */
static void skip(ws_uplink *uplink) {
    uint64_t next = oldest(uplink) + WS_PREROLL_SLACK;
    next += AUDIO_SAMPLES - 1u - (size_t)(next - uplink->first - 1u) % AUDIO_SAMPLES;
    if (next > uplink->end) next = uplink->end;
    uplink->message_unsent += (uint32_t)(next - uplink->next);
    uplink->unsent += next - uplink->next;
    uplink->next = next;
}

/* False when there is nothing to send. */
static bool next_frame(ws_uplink *uplink) {
    if (!uplink->active) {
        if (!uplink->waits) return false;
        begin_message(uplink);
        return true;
    }
    if (uplink->next < oldest(uplink)) skip(uplink);
    bool over = uplink->end <= uplink->processed;
    uint64_t left = (over ? uplink->end : uplink->processed) - uplink->next;
    if (left >= AUDIO_SAMPLES) {
        audio(uplink, AUDIO_SAMPLES);
    } else if (over && left > 0) {
        audio(uplink, (size_t)left);
    } else if (over) {
        end_message(uplink);
    } else {
        return false;
    }
    return true;
}

static bool finish(ws_uplink *uplink, ws_uplink_link link, void *to) {
    while (uplink->sent < uplink->frame.length) {
        size_t left = uplink->frame.length - uplink->sent;
        size_t taken = link(to, uplink->frame.bytes + uplink->sent, left);
        if (taken == 0) return false;
        uplink->sent += taken;
    }
    return true;
}

bool ws_uplink_finish(ws_uplink *uplink, ws_uplink_link link, void *to) {
    return uplink->sent == 0 || finish(uplink, link, to);
}

bool ws_uplink_pump(ws_uplink *uplink, ws_uplink_link link, void *to) {
    return finish(uplink, link, to) && next_frame(uplink) && finish(uplink, link, to);
}
