import { IngotError } from '../../core/index.ts';

/** What a person reads when the server cannot have its port. */
export function listenError(error: unknown, host: string, port: number): unknown {
  const where = `${host}:${port}`;
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return new IngotError(
        {
          code: 'PORT_IN_USE',
          message: `another program listens on port ${port}`,
          where,
          suggestion: `Use another port, for example --port ${port < 65_535 ? port + 1 : port - 1}, or stop that program.`,
        },
        { cause: error },
      );
    case 'EACCES':
      return new IngotError(
        {
          code: 'PORT_FORBIDDEN',
          message: `this user may not listen on port ${port}`,
          where,
          expected: 'a port from 1024 to 65535, or the right to use lower ones',
          suggestion: 'Use another port, for example --port 8000.',
        },
        { cause: error },
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new IngotError(
        {
          code: 'HOST_NOT_AVAILABLE',
          message: `this machine has no address ${host}`,
          where,
          expected: 'an address of this machine, such as 127.0.0.1 or 0.0.0.0',
        },
        { cause: error },
      );
    default:
      return error;
  }
}
