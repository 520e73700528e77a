/* SPDX-License-Identifier: Apache-2.0 */
// The computer's microphone, as int16 at the engine's rate, on a port.

const PIECE = 1920; // samples that are passed on together, and drawn: 8 times a second, 0.12 s late at most

/** What a person can do about it. */
function explained(error) {
  const hints = {
    NotAllowedError: "The browser was not allowed to use the microphone. Allow it in the address bar, then press the button again.",
    NotFoundError: "No microphone was found. Connect one, or open a file.",
    NotReadableError: "Another program holds the microphone. Close it, then press the button again.",
  };
  return new Error(hints[error.name] ?? `The microphone does not start: ${error.message}`);
}

export class Microphone {
  /** Starts it: { canceller } asks for the browser's echo canceller. Throws what to report. */
  static async start(rate, { canceller }) {
    if (!navigator.mediaDevices?.getUserMedia || !globalThis.AudioWorkletNode) {
      throw new Error("This page may not use a microphone: open it at https:// or at localhost, in a current browser.");
    }
    const microphone = new Microphone();
    try {
      microphone.stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: canceller, noiseSuppression: false, autoGainControl: false, channelCount: 1 },
      });
    } catch (error) {
      throw explained(error);
    }
    try {
      await microphone.#connect(rate);
    } catch {
      await microphone.context?.close();
      await microphone.#connect(rate, true); // Firefox: a context has the device's own rate
    }
    return microphone;
  }

  async #connect(rate, ownRate = false) {
    const latencyHint = 0.05; // s: in larger pieces than usual, for which the browser wakes up less often
    this.context = new AudioContext(ownRate ? { latencyHint } : { latencyHint, sampleRate: rate });
    const source = this.context.createMediaStreamSource(this.stream);
    await this.context.audioWorklet.addModule("./capture-worklet.js");
    const node = new AudioWorkletNode(this.context, "capture", {
      numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit",
      processorOptions: { rate, piece: PIECE },
    });
    const { port1, port2 } = new MessageChannel();
    node.port.postMessage(port1, [port1]);
    this.port = port2;
    source.connect(node);
    await this.context.resume();
    this.resampled = this.context.sampleRate !== rate;
  }

  stop() {
    this.port.close();
    this.stream.getTracks().forEach((track) => track.stop());
    this.context.close();
  }
}
