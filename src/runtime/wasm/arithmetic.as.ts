// The fp32 functions of wafer/arithmetic.ts, four lanes at a time. Each step is one rounded fp32 operation,
// in the same order as there; tests compare the two bit for bit.

// @ts-ignore: decorator
@inline
export function add(a: v128, b: v128): v128 {
  return f32x4.add(a, b);
}
// @ts-ignore: decorator
@inline
export function mul(a: v128, b: v128): v128 {
  return f32x4.mul(a, b);
}

/**
 * A constant that V8 keeps in a register: it builds one that it can see anew at every use, in three instructions. `any`
 * is a vector that it cannot see through, at an address where the caller has one anyway.
 */
// @ts-ignore: decorator
@inline
export function kept(constant: v128, any: usize): v128 {
  const x = v128.load(any);
  return v128.and(constant, i32x4.eq(x, x));
}

/** exp(x) as in wafer/arithmetic.ts: 0 below -87, infinity above 88. */
export function exp4(x: v128): v128 {
  const n = f32x4.nearest(mul(x, f32x4.splat(1.44269504088896341)));
  let r = f32x4.sub(x, mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, mul(n, f32x4.splat(-2.12194440e-4)));
  let p = f32x4.splat(1.9875691500e-4);
  p = add(mul(p, r), f32x4.splat(1.3981999507e-3));
  p = add(mul(p, r), f32x4.splat(8.3334519073e-3));
  p = add(mul(p, r), f32x4.splat(4.1665795894e-2));
  p = add(mul(p, r), f32x4.splat(1.6666665459e-1));
  p = add(mul(p, r), f32x4.splat(5.0000001201e-1));
  const y = add(add(mul(p, mul(r, r)), r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  let e = mul(y, power);
  e = v128.andnot(e, f32x4.lt(x, f32x4.splat(-87)));
  return v128.bitselect(f32x4.splat(Infinity), e, f32x4.gt(x, f32x4.splat(88)));
}

/** x / (1 + exp(-x)). */
export function silu4(x: v128): v128 {
  return f32x4.div(x, add(f32x4.splat(1), exp4(f32x4.neg(x))));
}

/** The tanh form of GELU, written as x / (1 + exp(-2u)). */
export function geluTanh4(x: v128): v128 {
  const cube = mul(mul(x, x), x);
  const u = mul(f32x4.splat(1.5957691216057308), add(x, mul(f32x4.splat(0.044715), cube)));
  return f32x4.div(x, add(f32x4.splat(1), exp4(f32x4.neg(u))));
}

/** tanh(x) as in wafer/arithmetic.ts. */
export function tanh4(x: v128): v128 {
  const square = mul(x, x);
  let p = f32x4.splat(-5.70498872745e-3);
  p = add(mul(p, square), f32x4.splat(2.06390887954e-2));
  p = add(mul(p, square), f32x4.splat(-5.37397155531e-2));
  p = add(mul(p, square), f32x4.splat(1.33314422036e-1));
  p = add(mul(p, square), f32x4.splat(-3.33332819422e-1));
  const near = add(mul(mul(p, square), x), x);
  const magnitude = f32x4.abs(x);
  const one = f32x4.splat(1);
  const bounded = f32x4.sub(one, f32x4.div(f32x4.splat(2), add(exp4(add(magnitude, magnitude)), one)));
  const far = v128.or(bounded, v128.and(x, f32x4.splat(-0.0)));
  return v128.bitselect(far, near, f32x4.ge(magnitude, f32x4.splat(0.625)));
}

/** cap * tanh(x / cap), given 1 / cap. */
// @ts-ignore: decorator
@inline
export function softcap4(x: v128, cap: v128, inverse: v128): v128 {
  return mul(cap, tanh4(mul(x, inverse)));
}

/** min(gate, 7) / (1 + exp(-1.702 gate)) times (up within ±7, plus 1): the constants of model/op/glu.ts. */
export function clampedSilu4(gate: v128, up: v128): v128 {
  const limit = f32x4.splat(7);
  const x = f32x4.pmin(limit, gate);
  const quotient = f32x4.div(x, add(f32x4.splat(1), exp4(mul(f32x4.splat(-1.702), x))));
  return mul(quotient, add(f32x4.pmin(limit, f32x4.pmax(f32x4.neg(limit), up)), f32x4.splat(1)));
}

/** fp32 of a bfloat16. */
// @ts-ignore: decorator
@inline
export function fromBf16(bits: u32): f32 {
  return reinterpret<f32>(bits << 16);
}

/** fp32 of a finite IEEE half: its exponent rebased by an exact multiplication. */
// @ts-ignore: decorator
@inline
export function fromF16(bits: u32): f32 {
  const magnitude = reinterpret<f32>((bits & 0x7fff) << 13) * <f32>reinterpret<f32>((112 + 127) << 23);
  return reinterpret<f32>(reinterpret<u32>(magnitude) | ((bits & 0x8000) << 16));
}

/** Nearest bfloat16, ties to even. */
export function toBf16(x: f32): u32 {
  const bits = reinterpret<u32>(x);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

/** Nearest OCP FP8 e4m3, ties to even; magnitudes beyond 448 become 448. */
export function toE4m3(x: f32): u32 {
  const bits = reinterpret<u32>(x);
  const sign = (bits >> 24) & 0x80;
  const magnitude = bits & 0x7fffffff;
  // Below 2^-6 a value is a multiple of 2^-9, which is what adding 2^14 rounds to.
  if (magnitude < 0x3c800000) return sign | (reinterpret<u32>(reinterpret<f32>(magnitude) + <f32>16384) - 0x46800000);
  return sign | min<u32>(0x7e, (magnitude - 0x3c000000 + 0x7ffff + ((magnitude >> 20) & 1)) >> 20);
}

/** Nearest IEEE half, ties to even; magnitudes from 65520 up become infinite. */
export function toF16(x: f32): u32 {
  const bits = reinterpret<u32>(x);
  const sign = (bits >> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Below 2^-14 a half is a multiple of 2^-24, which is what adding 0.5 rounds to.
  if (magnitude < 0x38800000) return sign | (reinterpret<u32>(reinterpret<f32>(magnitude) + <f32>0.5) - 0x3f000000);
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
}
