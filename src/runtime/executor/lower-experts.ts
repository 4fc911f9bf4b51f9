// A mixture of experts as instructions. The rows of a pass are put together by expert, so that each expert that any row
// picked reads its weights once, and no other expert is touched.

import { expertOps, routerOp, type MoeOp } from '../../model/index.ts';
import { heldMatrix, heldTable, type ReductionPlan } from '../../wafer/index.ts';
import * as layout from '../wasm/layout.ts';
import { activations, floatBits, formats, grainOf, rowBytes, type LoweringTools, type MatrixLoad } from './lowered.ts';
import { roundUp } from './memory-map.ts';

/** Private memory that the choice of experts needs: two rows of scores and a sum a group. */
export const routeScratchBytes = ({ experts, routing }: MoeOp): number =>
  (2 * roundUp(experts, 4) + (routing.groups?.count ?? 0)) * 4;

/** Rows by place, `stride` bytes apart. */
interface Places {
  readonly address: number;
  readonly stride: number;
}

export function lowerMixture(op: MoeOp, tools: LoweringTools): void {
  const { experts, activeExperts, expertFfn, width } = op;
  const { rows } = tools.options;
  const plans = tools.orders.ofExperts(op);
  const held = heldMatrix(tools.program.numerics, 'expert');
  const format = formats[held];
  const all = Array.from({ length: experts }, (_, expert) => expertOps(op, expert));
  const input = tools.addMatrices(
    all.map(({ gate, up }) => [gate, up]),
    held,
    plans.input,
  )[0];
  const inner = tools.addMatrices(
    all.map(({ down }) => [down]),
    held,
    plans.inner,
  )[0];

  // Groups start at whole groups of tokens, so each may leave all but one place of one unused.
  const count = roundUp(rows, layout.tokenGroup) * activeExperts;
  const places = roundUp(count + Math.min(experts, count) * (layout.tokenGroup - 1), layout.tokenGroup);
  const shape = `${experts} ${activeExperts} ${width} ${expertFfn}`;
  const table = (name: string, bytes: number): number => tools.shared(`experts ${name} ${shape}`, bytes);
  const byPlace = (name: string, width: number): Places => {
    const stride = rowBytes(width);
    return { address: table(name, places * stride), stride };
  };
  const routes = table('routes', count * layout.routeBytes);
  const groups = table('groups', layout.groupHeader + Math.min(experts, count) * layout.groupBytes);
  const placeOf = table('places', count * 4);
  const sources = table('sources', places * 4);
  const packed = table('packed', places * roundUp(Math.max(width, expertFfn), 2) * 4);
  const tokenScales = table('scales', places * 4);

  lowerRouter(op, tools, plans.input, routes);
  tools.emit(layout.opGroup, groups, 0, routes, activeExperts, experts, placeOf, sources);
  const x = tools.view(op.input);
  const spread = byPlace('rows', width);
  const spreading = [x.address, x.stride, width * 4, sources, 0, 0, 0, 0, 0, groups];
  tools.emit(layout.opSpread, spread.address, spread.stride, ...spreading);

  const multiply = (matrix: MatrixLoad, from: Places, to: Places, plan: ReductionPlan): void => {
    const { k, blocks, bytes, bias } = matrix;
    const rest = [bytes, blocks, bias, grainOf(blocks), groups];
    if (format === layout.formatInt8) {
      const pairs = Math.ceil(k / 2);
      const quantizing = [from.address, from.stride, k, tokenScales, 0, 0, 0, 0, 0, groups];
      tools.emit(layout.opQuantizeGroups, packed, pairs, ...quantizing);
      const operands = [packed, pairs, matrix.address, matrix.scales, tokenScales, ...rest];
      tools.emit(layout.opLinearInt8Groups, to.address, to.stride, ...operands);
      return;
    }
    const { list, order } = tools.runList(plan, k);
    tools.emit(layout.opPackGroups, packed, k, from.address, from.stride, order, 0, 0, 0, 0, 0, 0, groups);
    const { scales, scaleBytes, groupOffsets } = matrix;
    const scaling = [scales, scaleBytes * blocks, scaleBytes, groupOffsets];
    const operands = [packed, k, matrix.address, format, list, ...rest, ...scaling];
    tools.emit(layout.opLinearGroups, to.address, to.stride, ...operands);
  };
  const gateUp = byPlace('gate and up', input.blocks * layout.blockRows);
  multiply(input, spread, gateUp, plans.input);
  const gated = byPlace('gated', expertFfn);
  const up = gateUp.address + input.parts[1].firstBlock * layout.blockRows * 4;
  const unit = [gateUp.address, gateUp.stride, up, gateUp.stride, roundUp(expertFfn, 4), activations[op.activation]];
  tools.emit(layout.opGluGroups, gated.address, gated.stride, ...unit, 0, 0, 0, groups);
  const outputs = byPlace('outputs', inner.blocks * layout.blockRows);
  multiply(inner, gated, outputs, plans.inner);
  const out = tools.define(op.out, width);
  const mixing = [outputs.address, outputs.stride, roundUp(width, 4), activeExperts, routes, placeOf];
  tools.emit(layout.opMix, out.address, out.stride, ...mixing);
}

/** Router logits in fp32, and from them the routes of each row. */
function lowerRouter(op: MoeOp, tools: LoweringTools, plan: ReductionPlan, routes: number): void {
  const { experts, activeExperts, routing, width } = op;
  const held = heldTable(tools.program.numerics, tools.options.dtype(op.router));
  const [matrix] = tools.addMatrices([[routerOp(op)]], held, plan);
  const { list, order } = tools.runList(plan, width);
  const x = tools.view(op.input);
  const { blocks, address, bias } = matrix;
  const logits = tools.buffer(`${op.out} router`, blocks * layout.blockRows);
  tools.emit(layout.opPack, tools.packed, width, x.address, x.stride, order);
  const operands = [tools.packed, width, address, formats[held], list, 0, blocks, bias, grainOf(blocks)];
  tools.emit(layout.opLinear, logits.address, logits.stride, ...operands);
  const score = routing.score === 'softmax' ? layout.scoreSoftmax : layout.scoreSigmoid;
  const added = routing.bias === 'choice' && op.routerBias !== undefined ? tools.vector(op.routerBias, experts) : 0;
  const { count, active } = routing.groups ?? { count: 0, active: 0 };
  const choosing = [experts, activeExperts, score, Number(routing.normalize), floatBits(routing.scale)];
  const from = [logits.address, logits.stride];
  tools.emit(layout.opRoute, routes, activeExperts * layout.routeBytes, ...from, ...choosing, added, count, active);
}
