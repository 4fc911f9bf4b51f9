// One call as a JSON object, read character by character: `{"name": …, "arguments": {…}}`. Arguments are passed on as
// they are written, so that clients see them grow.

export interface CallObject {
  /** What is known by now; taken once. */
  name: string | undefined;
  /** Arguments since the last look. */
  fresh: string;
  /** The object is closed. */
  done: boolean;
  /** All of it, for a text that turns out to be no call. */
  raw: string;
  push(character: string): void;
}

const ARGUMENTS: readonly string[] = ['arguments', 'parameters'];
const isBlank = (character: string): boolean => /\s/.test(character);

export function createCallObject(): CallObject {
  let depth = 0;
  let inString = false;
  let escaped = false;
  let phase: 'key' | 'value' = 'key';
  let key = '';
  let value = '';
  let hasArguments = false;

  const endValue = (object: CallObject): void => {
    const text = value;
    value = '';
    phase = 'key';
    const name = nameOf(key);
    key = '';
    if (name === 'name') object.name ??= stringOf(text);
    else if (ARGUMENTS.includes(name) && text.startsWith('"')) {
      // Arguments as a text of JSON, within the JSON.
      object.fresh += stringOf(text) ?? '';
      hasArguments = true;
    }
  };

  return {
    name: undefined,
    fresh: '',
    done: false,
    raw: '',
    push(character) {
      this.raw += character;
      const isValue = depth > 0 && phase === 'value';
      if (inString) {
        if (escaped) escaped = false;
        else if (character === '\\') escaped = true;
        else if (character === '"') inString = false;
      } else if (character === '"') inString = true;
      else if (character === '{' || character === '[') depth++;
      else if (character === '}' || character === ']') {
        depth--;
        if (depth === 0) {
          endValue(this);
          if (!hasArguments) this.fresh += '{}';
          this.done = true;
          return;
        }
      } else if (depth === 1 && character === ':' && phase === 'key') {
        phase = 'value';
        return;
      } else if (depth === 1 && character === ',') {
        endValue(this);
        return;
      } else if (depth === 1 && isBlank(character)) return;
      if (!isValue) {
        if (depth === 1 && character !== '{') key += character;
        return;
      }
      value += character;
      if (ARGUMENTS.includes(nameOf(key)) && !value.startsWith('"')) {
        this.fresh += character;
        hasArguments = true;
      }
    },
  };
}

function stringOf(json: string): string | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

const nameOf = (key: string): string => stringOf(key) ?? '';
