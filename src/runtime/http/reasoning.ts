// Thoughts between <think> and </think>, as DeepSeek-R1, Qwen3 and most open reasoning models write them.

import type { AnswerPart } from '../../protocol/index.ts';
import { heldBack } from '../engine-text.ts';

export const THINK = '<think>';
export const THOUGHT = '</think>';

/** Whether thoughts may begin or end with this piece of a text: with the end of either mark. */
export const mayTurn = (text: string): boolean => text.includes('>');

/** Whether a chat template speaks of thoughts, so that answers may have them. */
export const mayThink = (template: string): boolean => template.includes(THOUGHT) || template.includes(THINK);

/** `open`: the prompt ends within thoughts; `done`: they are over, or were refused; `possible`: the model may begin them. */
export type ThoughtState = 'open' | 'possible' | 'done';

export function thoughtState(template: string, prompt: string): ThoughtState {
  if (!mayThink(template)) return 'done';
  const end = prompt.trimEnd();
  if (end.endsWith(THINK)) return 'open';
  return end.endsWith(THOUGHT) ? 'done' : 'possible';
}

export interface ThoughtReader {
  /** The next text belongs to thoughts. */
  readonly isThinking: boolean;
  push(text: string): AnswerPart[];
  end(): AnswerPart[];
}

/** Tells thoughts from content; blanks around either are left out. */
export function createThoughtReader(state: ThoughtState): ThoughtReader {
  let place: 'start' | 'thoughts' | 'gap' | 'content' =
    state === 'open' ? 'thoughts' : state === 'possible' ? 'start' : 'content';
  let held = '';
  let isFirst = true;

  const part = (kind: 'content' | 'reasoning', text: string): AnswerPart[] => (text === '' ? [] : [{ kind, text }]);
  const thoughts = (text: string): AnswerPart[] => {
    const shown = isFirst ? text.trimStart() : text;
    if (shown !== '') isFirst = false;
    return part('reasoning', shown);
  };

  const read = (): AnswerPart[] => {
    if (place === 'start') {
      const begun = held.trimStart();
      if (THINK.startsWith(begun)) {
        if (begun !== THINK) return [];
        held = '';
        place = 'thoughts';
        return [];
      }
      if (begun.startsWith(THINK)) {
        held = begun.slice(THINK.length);
        place = 'thoughts';
        return read();
      }
      place = 'content';
    }
    if (place === 'thoughts') {
      const at = held.indexOf(THOUGHT);
      const sure = held.slice(0, at >= 0 ? at : held.length - heldBack(held, [THOUGHT])).trimEnd();
      const parts = thoughts(sure);
      held = held.slice(at >= 0 ? at + THOUGHT.length : sure.length);
      if (at < 0) return parts;
      place = 'gap';
      return [...parts, ...read()];
    }
    if (place === 'gap') {
      held = held.trimStart();
      if (held === '') return [];
      place = 'content';
    }
    const text = held;
    held = '';
    return part('content', text);
  };

  return {
    get isThinking() {
      return place === 'thoughts';
    },
    push(text) {
      held += text;
      return read();
    },
    end() {
      const text = held;
      held = '';
      if (place === 'gap') return [];
      return place === 'thoughts' ? thoughts(text.trimEnd()) : part('content', text);
    },
  };
}
