// SPDX-License-Identifier: Apache-2.0
declare module '@novnc/novnc' {
  const RFB: new (target: HTMLElement, url: string, options?: Record<string, unknown>) => any
  export default RFB
}
