// Finds calls in a growing text: between marks, or from the beginning where a family has none.

import type { AnswerPart } from '../../../protocol/index.ts';
import { heldBack } from '../../engine-text.ts';
import { createCallObject, type CallObject } from './call-object.ts';
import type { CallReader } from './tool-format.ts';

export interface CallSyntax {
  /** Begins calls. */
  readonly open: string;
  /** Ends a call, where calls are marked one by one. */
  readonly close?: string;
  /** An answer that begins with an object is a call, even without the mark. */
  readonly bare?: true;
}

const BETWEEN = /[\s,;[\]]/;

export function createCallReader({ open, close, bare }: CallSyntax, newId: () => string): CallReader {
  let place: 'start' | 'content' | 'between' | 'object' | 'closing' = 'start';
  /** Text that may be the beginning of a mark, or blanks that may stand before one. */
  let held = '';
  let object: CallObject | undefined;
  let index = -1;
  let isNamed = false;

  const content = (text: string): AnswerPart[] => (text === '' ? [] : [{ kind: 'content', text }]);

  const readContent = (parts: AnswerPart[], text: string): string => {
    held += text;
    const at = held.indexOf(open);
    if (at >= 0) {
      const rest = held.slice(at + open.length);
      parts.push(...content(held.slice(0, at).trimEnd()));
      held = '';
      place = 'between';
      return rest;
    }
    const sure = held.slice(0, held.length - heldBack(held, [open])).trimEnd();
    parts.push(...content(sure));
    held = held.slice(sure.length);
    return '';
  };

  const report = (parts: AnswerPart[], from: CallObject): void => {
    if (from.name === undefined) return;
    if (!isNamed) {
      isNamed = true;
      parts.push({ kind: 'call', index: ++index, id: newId(), name: from.name });
    }
    if (from.fresh !== '') parts.push({ kind: 'arguments', index, text: from.fresh });
    from.fresh = '';
  };

  const readObject = (parts: AnswerPart[], text: string, from: CallObject): string => {
    let at = 0;
    while (at < text.length && !from.done) from.push(text[at++]);
    report(parts, from);
    if (from.done) {
      if (from.name === undefined) parts.push(...content(from.raw));
      object = undefined;
      place = from.name === undefined ? 'content' : close === undefined ? 'between' : 'closing';
    }
    return text.slice(at);
  };

  const step = (parts: AnswerPart[], text: string): string => {
    switch (place) {
      case 'start': {
        held += text;
        const begun = held.trimStart();
        if (begun === '') return '';
        const all = held;
        held = '';
        place = bare === true && begun.startsWith('{') ? 'between' : 'content';
        return all;
      }
      case 'content':
        return readContent(parts, text);
      case 'between': {
        const at = [...text].findIndex((character) => !BETWEEN.test(character));
        if (at < 0) return '';
        if (text[at] === '{') {
          object = createCallObject();
          isNamed = false;
          place = 'object';
        } else place = 'content';
        return text.slice(at);
      }
      case 'object':
        return readObject(parts, text, object as CallObject);
      case 'closing': {
        held += text;
        const at = held.indexOf(close as string);
        if (at < 0) return '';
        const rest = held.slice(at + (close as string).length);
        held = '';
        place = 'content';
        return rest;
      }
    }
  };

  return {
    push(text) {
      const parts: AnswerPart[] = [];
      for (let rest = text; rest !== ''; ) rest = step(parts, rest);
      return parts;
    },
    end() {
      // An object that never was named is what the model said.
      const left = object !== undefined && object.name === undefined ? object.raw : held;
      const isText = place !== 'closing' && !(index >= 0 && left.trim() === '');
      held = '';
      object = undefined;
      return isText ? content(left) : [];
    },
  };
}
