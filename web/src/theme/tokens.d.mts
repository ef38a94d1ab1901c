// SPDX-License-Identifier: Apache-2.0
type Both = { light: Record<string, any>; dark: Record<string, any> }
export const antd: Both
export const states: Both
export const surfaces: Both
export const series: { light: string[]; dark: string[] }
export const parts: string[]
