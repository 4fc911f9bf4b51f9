export { groupErrors, validate } from './validate/validate.ts';
export type { GroupError, ValidationLine } from './validate/validate.ts';
export { validationPicture } from './validate/picture.ts';
export { evaluateWindows } from './evaluate/evaluate.ts';
export type { TextScore } from './evaluate/score.ts';
export { cutWindows } from './evaluate/windows.ts';
